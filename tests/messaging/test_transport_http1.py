"""How the transport speaks to a server that knows no HTTP/2."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from messaging.providers.base import HttpRequest, TransportFailure
from messaging.providers.http_transport import HttpTransport
from messaging.providers.transport_rules import BODY_LIMIT, HTTP1_CONNECTIONS, HTTP1_IDLE_S, TransportRules
from tests.messaging.h1_server import H1Server
from tests.messaging.h2_server import Certificate
from tests.messaging.stage import wait_until
from tests.messaging.transport_parts import HEADERS, OpenTransport, paths, post, wait

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


@pytest.fixture
def http1_rules(rules: TransportRules) -> TransportRules:
    return replace(rules, http1=True)


@pytest.fixture
def transport(http1_rules: TransportRules, open_transport: OpenTransport) -> HttpTransport:
    return open_transport(http1_rules)


@pytest.fixture(params=[("http/1.1",), ()], ids=["http/1.1", "no ALPN"])
def http1_server(request: pytest.FixtureRequest, certificate: Certificate) -> Iterator[H1Server]:
    with H1Server(certificate, request.param) as server:
        yield server


def test_a_request_arrives_whole_and_the_reason_phrase_is_kept(
    http1_server: H1Server, transport: HttpTransport
) -> None:
    http1_server.answer = b"HTTP/1.1 410 Domain Blocked\r\nX-WNS-Error: a b\r\ncontent-length: 4\r\n\r\ngone"

    answer = post(transport, http1_server.url, "/a/../b?c=%2e")[0]

    request = http1_server.requests[0]
    assert (answer.status, answer.body) == (410, b"gone")
    assert (answer.headers[":reason"], answer.headers["x-wns-error"]) == ("Domain Blocked", "a b")
    assert request.target == "/a/../b?c=%2e"
    assert request.body == b'{"path":"/a/../b?c=%2e"}'
    assert request.headers["content-length"] == str(len(request.body))
    assert request.headers["host"] == f"localhost:{http1_server.port}"
    assert request.headers["authorization"] == "bearer x"
    assert {"accept", "expect", "transfer-encoding", "connection"}.isdisjoint(request.headers)


def test_requests_share_a_few_connections(http1_server: H1Server, transport: HttpTransport) -> None:
    answers = post(transport, http1_server.url, *paths(60))

    assert [answer.status for answer in answers.values()] == [200] * 60
    assert sorted(request.target for request in http1_server.requests) == sorted(paths(60))
    assert http1_server.connections <= HTTP1_CONNECTIONS


def test_headers_of_one_request_reach_that_request_alone(http1_server: H1Server, transport: HttpTransport) -> None:
    for key, own in enumerate([("x-id: 1",), (), ("x-id: 2",)]):
        transport.submit(HttpRequest(key, f"{http1_server.url}/{key}", HEADERS, b"x", own))
    wait(transport)

    by_target = {request.target: request.headers.get("x-id") for request in http1_server.requests}
    assert by_target == {"/0": "1", "/1": None, "/2": "2"}


def test_a_connection_the_server_closes_after_each_answer_is_opened_anew(
    http1_server: H1Server, transport: HttpTransport
) -> None:
    http1_server.answer = b"HTTP/1.1 201 Created\r\nconnection: close\r\n\r\nuntil the end"

    answers = post(transport, http1_server.url, *paths(10))

    assert [(answer.status, answer.body) for answer in answers.values()] == [(201, b"until the end")] * 10
    assert http1_server.connections == 10


def test_interim_answers_are_not_the_verdict(http1_server: H1Server, transport: HttpTransport) -> None:
    http1_server.answer = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK

    answer = post(transport, http1_server.url, "/")[0]

    assert (answer.status, answer.headers.get("link")) == (200, None)


def test_a_huge_answer_is_cut(http1_server: H1Server, transport: HttpTransport) -> None:
    http1_server.answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 5000000\r\n\r\n" + bytes(5_000_000)

    answer = post(transport, http1_server.url, "/")[0]
    http1_server.answer = OK
    after = post(transport, http1_server.url, "/")[0]

    assert (answer.status, len(answer.body), answer.failure) == (400, BODY_LIMIT, None)
    assert after.status == 200


@pytest.mark.parametrize(
    "broken",
    [
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 100_000,
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"",
    ],
    ids=["no HTTP", "status is no number", "headers without end", "two lengths", "another protocol", "nothing"],
)
def test_a_broken_answer_is_in_doubt_and_never_sent_again(
    http1_server: H1Server, transport: HttpTransport, broken: bytes
) -> None:
    http1_server.answer, http1_server.closes = broken, True

    answer = post(transport, http1_server.url, "/")[0]

    assert answer.failure is TransportFailure.IN_DOUBT
    assert len(http1_server.requests) == 1


def test_a_verdict_without_the_rest_of_its_explanation_is_kept(
    http1_server: H1Server, transport: HttpTransport
) -> None:
    http1_server.answer, http1_server.closes = b"HTTP/1.1 410 Gone\r\ncontent-length: 50\r\n\r\n{", True

    answer = post(transport, http1_server.url, "/")[0]

    assert (answer.status, answer.failure) == (410, None)


def test_an_answer_nobody_asked_for_answers_no_later_request(http1_server: H1Server, transport: HttpTransport) -> None:
    http1_server.answer = OK + b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n"

    answers = [post(transport, http1_server.url, "/")[0] for _ in range(3)]

    assert [answer.status for answer in answers] == [200] * 3


def test_silence_until_the_deadline_is_in_doubt(
    http1_server: H1Server, http1_rules: TransportRules, open_transport: OpenTransport
) -> None:
    http1_server.answer = b""
    transport = open_transport(replace(http1_rules, deadline_s=0.5))

    lost = post(transport, http1_server.url, "/lost")[0]
    http1_server.answer = OK
    after = post(transport, http1_server.url, "/after")[0]

    assert lost.failure is TransportFailure.IN_DOUBT
    assert after.status == 200


def test_a_connection_closed_while_idle_is_opened_anew(http1_server: H1Server, transport: HttpTransport) -> None:
    for number in range(10):
        assert post(transport, http1_server.url, f"/{number}")[0].status == 200
        http1_server.opened[-1].hang_up()

    assert http1_server.connections == 10
    assert len(http1_server.requests) == 10


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    certificate: Certificate, transport: HttpTransport
) -> None:
    with H1Server(certificate) as server:
        post(transport, server.url, "/first")
        idle_until = time.monotonic() + HTTP1_IDLE_S
        wait_until(lambda: time.monotonic() > idle_until, HTTP1_IDLE_S + 1, "the connection to be old")
        answer = post(transport, server.url, "/second")[0]

    assert answer.status == 200
    assert server.connections == 2
