from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from h2.errors import ErrorCodes

from messaging.providers.base import HttpRequest, TransportFailure
from messaging.providers.http_transport import HttpTransport
from messaging.providers.transport_rules import BODY_LIMIT, TransportRules
from tests.messaging.h2_server import Certificate, H2Server, Request, answer_200, make_certificate
from tests.messaging.stage import wait_until
from tests.messaging.transport_parts import HEADERS, OpenTransport, post, wait


@pytest.fixture
def transport(rules: TransportRules, open_transport: OpenTransport) -> HttpTransport:
    return open_transport(rules)


def test_requests_share_one_http2_connection(server: H2Server, transport: HttpTransport) -> None:
    answers = post(transport, server.url, *(f"/{n}" for n in range(50)))

    assert [answer.status for answer in answers.values()] == [200] * 50
    assert server.paths == sorted(f"/{n}" for n in range(50))
    assert server.connections == 1


def test_body_and_headers_arrive_as_given(server: H2Server, transport: HttpTransport) -> None:
    post(transport, server.url, "/a/../b?c=%2e")

    request = server.requests[0]
    assert request.path == "/a/../b?c=%2e"
    assert request.body == b'{"path":"/a/../b?c=%2e"}'
    assert request.headers["content-length"] == str(len(request.body))
    assert request.headers["authorization"] == "bearer x"
    assert {"accept", "expect", "transfer-encoding"}.isdisjoint(request.headers)


def test_headers_of_one_request_reach_that_request_alone(server: H2Server, transport: HttpTransport) -> None:
    for key, own in enumerate([("apns-id: 1",), (), ("apns-id: 2",)]):
        transport.submit(HttpRequest(key, f"{server.url}/{key}", HEADERS, b"x", own))
    wait(transport)

    by_path = {request.path: request.headers for request in server.requests}
    assert [by_path[f"/{key}"].get("apns-id") for key in range(3)] == ["1", None, "2"]
    assert {headers["authorization"] for headers in by_path.values()} == {"bearer x"}


def test_a_body_larger_than_the_servers_window_arrives_whole(server: H2Server, transport: HttpTransport) -> None:
    server.window = 100
    body = bytes(range(256)) * 20
    for key in range(5):
        transport.submit(HttpRequest(key, f"{server.url}/{key}", HEADERS, body))

    answers = wait(transport)

    assert [answer.status for answer in answers.values()] == [200] * 5
    assert [request.body for request in server.requests] == [body] * 5


def test_the_same_body_is_sent_whole_every_time(server: H2Server, transport: HttpTransport) -> None:
    body = b"x" * 4000
    for round_number in range(3):
        transport.submit(HttpRequest(round_number, f"{server.url}/{round_number}", HEADERS, body))
        wait(transport)

    assert [request.body for request in server.requests] == [body] * 3


def test_answer_carries_headers_in_lower_case(server: H2Server, transport: HttpTransport) -> None:
    server.behaviour = lambda request: request.answer(429, b"slow", {"retry-after": "20"})

    answer = post(transport, server.url, "/")[0]

    assert (answer.status, answer.body, answer.headers["retry-after"]) == (429, b"slow", "20")


def test_interim_answers_are_not_the_verdict(server: H2Server, transport: HttpTransport) -> None:
    def hint_then_answer(request: Request) -> None:
        request.connection.h2.send_headers(request.stream_id, [(":status", "103"), ("link", "x")])
        request.answer(404, b"", {"reason": "final"})

    server.behaviour = hint_then_answer

    answer = post(transport, server.url, "/")[0]

    assert (answer.status, answer.headers.get("reason"), answer.headers.get("link")) == (404, "final", None)


def test_huge_answer_is_cut_and_the_connection_survives(server: H2Server, transport: HttpTransport) -> None:
    server.behaviour = lambda request: request.answer(400, b"x" * 5_000_000 if request.path == "/huge" else b"ok")

    answers = post(transport, server.url, "/huge", "/next")

    assert (answers[0].status, len(answers[0].body), answers[0].failure) == (400, BODY_LIMIT, None)
    assert answers[1].body == b"ok"
    assert server.connections == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(server: H2Server, transport: HttpTransport, status: int) -> None:
    server.behaviour = lambda request: request.answer(status, b"", {"location": f"{server.url}/elsewhere"})

    answer = post(transport, server.url, "/")[0]

    assert answer.status == status
    assert server.paths == ["/"]


def test_proxy_variables_of_the_environment_are_ignored(
    server: H2Server, transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    assert post(transport, server.url, "/")[0].status == 200


def test_silence_until_the_deadline_is_in_doubt(
    server: H2Server, rules: TransportRules, open_transport: OpenTransport
) -> None:
    server.behaviour = lambda request: None
    transport = open_transport(replace(rules, deadline_s=0.8))

    answer = post(transport, server.url, "/")[0]

    assert answer.failure is TransportFailure.IN_DOUBT
    assert 0.7 < answer.elapsed_s < 3


def test_answers_that_came_while_nobody_polled_are_not_too_late(
    server: H2Server, rules: TransportRules, open_transport: OpenTransport
) -> None:
    transport = open_transport(replace(rules, deadline_s=1.5))
    post(transport, server.url, "/first")
    held: list[Request] = []
    server.behaviour = held.append
    for key in range(20):
        transport.submit(HttpRequest(key, f"{server.url}/{key}", HEADERS, b"{}"))
    wait_until(lambda: not transport.poll(0.01) and len(held) == 20, 1.4, "the requests to arrive")
    for request in held:
        server.call_soon(partial(request.answer, 200))
    back_at = time.monotonic() + 2  # as long as PostgreSQL was waited for
    wait_until(lambda: time.monotonic() > back_at, 3, "the deadline to pass")

    assert [answer.status for answer in wait(transport).values()] == [200] * 20


def test_goaway_resends_only_what_was_not_processed(server: H2Server, transport: HttpTransport) -> None:
    def process_first_then_leave(request: Request) -> None:
        if request.connection.number > 1:
            request.answer(200)
        elif len(request.connection.server.requests) == 3:
            request.connection.goaway(last_stream_id=1)
            request.connection.hang_up()

    server.behaviour = process_first_then_leave

    answers = post(transport, server.url, "/0", "/1", "/2")

    assert answers[0].failure is TransportFailure.IN_DOUBT
    assert [answers[1].status, answers[2].status] == [200, 200]
    assert server.paths == ["/0", "/1", "/1", "/2", "/2"]


def test_goaway_successor_does_not_wait_for_the_draining_connection(
    server: H2Server, rules: TransportRules, open_transport: OpenTransport
) -> None:
    def drain_for_ever(request: Request) -> None:
        if request.connection.number > 1:
            request.answer(200)
        elif len(request.connection.server.requests) == 2:
            request.connection.goaway(last_stream_id=1)

    server.behaviour = drain_for_ever
    transport = open_transport(replace(rules, deadline_s=1.0))

    answers = post(transport, server.url, "/0", "/1")

    assert answers[0].failure is TransportFailure.IN_DOUBT
    assert answers[1].status == 200


def test_refused_stream_is_sent_again_at_once(server: H2Server, transport: HttpTransport) -> None:
    def refuse_once(request: Request) -> None:
        if request.connection.number == 1:
            request.reset(ErrorCodes.REFUSED_STREAM)
        else:
            request.answer(200)

    server.behaviour = refuse_once

    assert post(transport, server.url, "/")[0].status == 200
    assert server.paths == ["/", "/"]


def test_stream_refused_again_and_again_was_not_sent(server: H2Server, transport: HttpTransport) -> None:
    server.behaviour = lambda request: request.reset(ErrorCodes.REFUSED_STREAM)

    answer = post(transport, server.url, "/")[0]

    assert answer.failure is TransportFailure.NOT_SENT
    assert len(server.requests) == 4


@pytest.mark.parametrize("code", [ErrorCodes.INTERNAL_ERROR, ErrorCodes.CANCEL])
def test_reset_stream_is_in_doubt(server: H2Server, transport: HttpTransport, code: ErrorCodes) -> None:
    server.behaviour = lambda request: request.reset(code)

    answer = post(transport, server.url, "/")[0]

    assert answer.failure is TransportFailure.IN_DOUBT
    assert len(server.requests) == 1


@pytest.mark.parametrize("warm", [True, False])
def test_lost_connection_is_in_doubt_and_never_resent(server: H2Server, transport: HttpTransport, warm: bool) -> None:
    if warm:
        post(transport, server.url, "/first")
    server.behaviour = lambda request: request.connection.drop()

    answer = post(transport, server.url, "/lost")[0]

    assert answer.failure is TransportFailure.IN_DOUBT
    assert server.paths.count("/lost") == 1


def test_reset_after_the_verdict_changes_nothing(server: H2Server, transport: HttpTransport) -> None:
    def answer_half(request: Request) -> None:
        request.connection.h2.send_headers(request.stream_id, [(":status", "410")])
        request.connection.h2.send_data(request.stream_id, b'{"reason":"Unreg')
        request.reset(ErrorCodes.INTERNAL_ERROR)

    server.behaviour = answer_half

    answer = post(transport, server.url, "/")[0]

    assert (answer.status, answer.failure) == (410, None)


def test_refused_connection_was_not_sent(transport: HttpTransport) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        answer = post(transport, f"https://localhost:{port}", "/")[0]

    assert answer.failure is TransportFailure.NOT_SENT


def test_an_accepted_connection_that_stays_silent_was_not_sent(
    rules: TransportRules, open_transport: OpenTransport
) -> None:
    transport = open_transport(replace(rules, deadline_s=0.3))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answers = post(transport, f"https://localhost:{listener.getsockname()[1]}", "/0", "/1")

    assert [answer.failure for answer in answers.values()] == [TransportFailure.NOT_SENT] * 2
    assert all(0.2 < answer.elapsed_s < 2 for answer in answers.values())


def test_an_unknown_name_was_not_sent(transport: HttpTransport) -> None:
    answer = post(transport, "https://nobody.invalid", "/")[0]

    assert answer.failure is TransportFailure.NOT_SENT


def test_unknown_certificate_is_a_tls_failure(
    server: H2Server, rules: TransportRules, open_transport: OpenTransport
) -> None:
    transport = open_transport(replace(rules, ca_file=None))

    answer = post(transport, server.url, "/")[0]

    assert answer.failure is TransportFailure.TLS
    assert server.requests == []


@pytest.mark.parametrize(("name", "days"), [("localhost", -1), ("other.example", 1)])
def test_expired_or_foreign_certificate_is_a_tls_failure(
    tmp_path: Path, rules: TransportRules, open_transport: OpenTransport, name: str, days: int
) -> None:
    certificate = make_certificate(tmp_path, name, days=days)
    server = H2Server(certificate).start()
    transport = open_transport(replace(rules, ca_file=certificate.file))

    answer = post(transport, server.url, "/")[0]

    assert answer.failure is TransportFailure.TLS
    server.stop()


def test_plaintext_on_the_port_is_a_tls_failure(transport: HttpTransport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak_plainly() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=speak_plainly)
        thread.start()
        answer = post(transport, f"https://localhost:{listener.getsockname()[1]}", "/")[0]
        thread.join(5)

    assert answer.failure is TransportFailure.TLS


def test_loopback_is_a_forbidden_address_unless_allowed(
    server: H2Server, rules: TransportRules, open_transport: OpenTransport
) -> None:
    transport = open_transport(replace(rules, allow_loopback=False))

    answer = post(transport, server.url, "/")[0]

    assert answer.failure is TransportFailure.FORBIDDEN_ADDRESS
    assert server.connections == 0


def test_private_address_stays_forbidden_with_loopback_allowed(transport: HttpTransport) -> None:
    answer = post(transport, "https://10.0.0.1:9", "/")[0]

    assert answer.failure is TransportFailure.FORBIDDEN_ADDRESS


def test_only_https_is_spoken(server: H2Server, transport: HttpTransport) -> None:
    answer = post(transport, f"http://localhost:{server.port}", "/")[0]

    assert answer.failure is TransportFailure.NOT_SENT
    assert server.connections == 0


def test_warm_up_sends_one_request_alone_until_its_answer(
    server: H2Server, rules: TransportRules, open_transport: OpenTransport
) -> None:
    first_alone = threading.Event()
    server.behaviour = lambda request: first_alone.set()
    transport = open_transport(replace(rules, warm_up=True))
    for key in range(10):
        transport.submit(HttpRequest(key, f"{server.url}/{key}", HEADERS, b"x"))
    while not first_alone.is_set():
        transport.poll(0.05)
    transport.poll(0.1)
    seen_before_the_answer = server.paths

    server.behaviour = answer_200
    server.call_soon(lambda: server.requests[0].answer(200))
    answers = wait(transport)

    assert seen_before_the_answer == ["/0"]
    assert len(answers) == 10
    assert len(server.requests) == 10


def test_streams_beyond_the_servers_limit_wait_their_turn(
    certificate: Certificate, rules: TransportRules, open_transport: OpenTransport
) -> None:
    server = H2Server(certificate, max_streams=3).start()
    transport = open_transport(rules)

    answers = post(transport, server.url, *(f"/{n}" for n in range(60)))

    assert [answer.status for answer in answers.values()] == [200] * 60
    assert server.connections <= 2 * rules.max_connections
    server.stop()


def test_poll_without_requests_returns_at_once(transport: HttpTransport) -> None:
    assert transport.in_flight == 0
    assert transport.poll(30.0) == []
