"""Addresses as their bytes reach the web server: what is no UTF-8 names nothing."""

from __future__ import annotations

import http.client
import json

import pytest

from messaging.models import Message
from tests.realtime.conftest import Live


@pytest.mark.parametrize("name", ["%FF", "%ED%A0%80", "a%C3", "%C0%AF"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/messaging/{}"),
        ("GET", "/messaging/{}"),
        ("DELETE", "/messaging/channels/{}"),
        ("POST", "/messaging/{}/subscribe"),
        ("POST", "/messaging/push/{}"),
        ("DELETE", "/messaging/registrations/{}"),
    ],
)
def test_an_address_that_is_not_utf_8_is_404_in_json(live: Live, method: str, path: str, name: str) -> None:
    status, code = call(live, method, path.format(name))

    assert (status, code) == (404, 5904)
    assert not Message.objects.exists()


@pytest.mark.parametrize(("name", "channel"), [("%25FF", "%FF"), ("%E2%82%AC+", "€+")])
def test_a_name_is_what_its_escapes_say(live: Live, name: str, channel: str) -> None:
    assert call(live, "POST", f"/messaging/{name}") == (200, None)
    assert Message.objects.get().channel_name == channel


def call(live: Live, method: str, path: str) -> tuple[int, int | None]:
    """Status and error code."""
    connection = http.client.HTTPConnection("127.0.0.1", live.stack.web_port, timeout=10)
    body = b"{}" if method == "POST" else None
    connection.request(method, live.account.prefix + path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = json.load(response)
    connection.close()
    return response.status, answer.get("code")
