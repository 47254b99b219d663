"""Who may read /metrics."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

TOKEN = "0123456789abcdef0123456789abcdef"


def test_a_monitor_on_this_machine_reads_it_in_prometheus_format(client: Client, db: None) -> None:
    answer = client.get("/metrics", REMOTE_ADDR="127.0.0.1")

    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"# TYPE clarion_info gauge\n" in answer.content


def test_a_monitor_elsewhere_shows_the_token(client: Client, settings: Settings, db: None) -> None:
    settings.METRICS_TOKEN = TOKEN

    answer = client.get("/metrics", REMOTE_ADDR="192.0.2.7", headers={"Authorization": f"Bearer {TOKEN}"})

    assert answer.status_code == 200


@pytest.mark.parametrize("authorization", ["", f"Bearer {TOKEN[:-1]}x", "Bearer ", f"Basic {TOKEN}"])
def test_for_everybody_else_there_is_no_such_page(
    client: Client, settings: Settings, db: None, authorization: str
) -> None:
    settings.METRICS_TOKEN = TOKEN

    answer = client.get("/metrics", REMOTE_ADDR="192.0.2.7", headers={"Authorization": authorization})

    assert answer.status_code == 404


def test_without_a_token_in_the_settings_no_token_opens_it(client: Client, db: None) -> None:
    assert client.get("/metrics", REMOTE_ADDR="192.0.2.7", headers={"Authorization": "Bearer "}).status_code == 404


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_whom_a_proxy_on_this_machine_passes_on_is_not_local(client: Client, db: None, header: str) -> None:
    assert client.get("/metrics", REMOTE_ADDR="127.0.0.1", headers={header: "192.0.2.7"}).status_code == 404


def test_it_is_only_read(client: Client, db: None) -> None:
    assert client.post("/metrics", REMOTE_ADDR="127.0.0.1").status_code == 405
