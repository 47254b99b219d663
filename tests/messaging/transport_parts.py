"""What the tests of the transport share: requests, and waiting for their answers."""

from __future__ import annotations

from collections.abc import Callable

from messaging.providers.base import HttpAnswer, HttpRequest, Transport
from messaging.providers.http_transport import HttpTransport
from messaging.providers.transport_rules import TransportRules

OpenTransport = Callable[[TransportRules], HttpTransport]

HEADERS = ("content-type: application/json", "authorization: bearer x")


def post(transport: Transport, url: str, *paths: str) -> dict[int, HttpAnswer]:
    """Submit one request per path, keyed from 0, and wait for every answer."""
    for key, path in enumerate(paths):
        transport.submit(HttpRequest(key, url + path, HEADERS, b'{"path":"%s"}' % path.encode()))
    return wait(transport)


def wait(transport: Transport) -> dict[int, HttpAnswer]:
    """All answers, each exactly once."""
    answers: dict[int, HttpAnswer] = {}
    while transport.in_flight:
        for answer in transport.poll(1.0):
            assert answer.key not in answers
            answers[answer.key] = answer
    return answers


def paths(count: int) -> list[str]:
    """As many different ones."""
    return [f"/{number}" for number in range(count)]
