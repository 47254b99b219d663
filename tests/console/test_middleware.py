"""The client's address behind a proxy."""

from __future__ import annotations

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from console.middleware import ProxiedClientAddress


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("10.0.0.1, 203.0.113.7", "203.0.113.7"),  # what the client claims stands before what the proxy wrote
        ("2001:db8::7", "2001:db8::7"),
        ("unknown", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_the_last_forwarded_address_is_the_client(header: str, expected: str) -> None:
    seen: list[str] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request.META["REMOTE_ADDR"])
        return HttpResponse()

    ProxiedClientAddress(view)(RequestFactory().get("/", HTTP_X_FORWARDED_FOR=header))

    assert seen == [expected]
