"""Log lines: one JSON object each, without secrets."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from console.logs import JsonLine, MaskSecrets

APPLICATION = "B0DB9C31-7B5F-4D0F-9C0A-0A3A2C5D1E4F"


def line(message: str, *args: object) -> str:
    """What is written for a record."""
    record = logging.LogRecord("clarion", logging.INFO, "", 0, message, args, None)
    MaskSecrets().filter(record)
    return JsonLine().format(record)


@pytest.mark.parametrize(
    "message",
    [
        f"POST /{APPLICATION}/SECRET-0000/messaging/default 200",
        f"POST /{APPLICATION}/SECRET-0000?x=1",
        "Authorization: Bearer SECRET-0000.abc",
        "authorization: bearer SECRET-0000.abc",
        "{'authorization': 'key=SECRET-0000'}",
        'user-token: SECRET-0000, "deviceToken": "SECRET-0000"',
        "client_secret=SECRET-0000&grant_type=client_credentials",
        "assertion=eyJhbGciOiJSUzI1NiJ9.SECRET-0000.c2ln",
        "sent to https://fcm.googleapis.com/fcm/send/SECRET-0000",
        "-----BEGIN PRIVATE KEY-----\nSECRET-0000\n-----END PRIVATE KEY-----",
    ],
)
def test_secrets_are_masked(message: str) -> None:
    assert "SECRET" not in line(message)


def test_addresses_of_the_console_are_left_readable() -> None:
    assert f"/apps/{APPLICATION}/messages/" in line(f"GET /apps/{APPLICATION}/messages/")


def test_a_value_cannot_forge_a_second_line() -> None:
    written = line("user %s signed in", 'x\n{"level": "error"}')

    assert "\n" not in written
    assert json.loads(written)["message"].startswith("user x\n")


def test_arguments_that_do_not_fit_lose_no_line() -> None:
    assert "two" in json.loads(line("%d things", "two"))["message"]


def test_an_exception_stays_on_its_line() -> None:
    try:
        raise ValueError("token=SECRET-0000")
    except ValueError:
        record = logging.LogRecord("clarion", logging.ERROR, "", 0, "failed", (), sys.exc_info())

    written = JsonLine().format(record)

    assert "\n" not in written
    assert "ValueError" in written
    assert "SECRET" not in written
