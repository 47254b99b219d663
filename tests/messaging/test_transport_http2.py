"""How the transport uses HTTP/2 connections and streams, beyond the common behaviour of test_transport.py."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame

from messaging.providers.base import HttpRequest, TransportFailure
from messaging.providers.http_transport import MAX_ORIGINS, HttpTransport
from messaging.providers.transport_rules import TransportRules
from tests.messaging.h2_server import Certificate, H2Server, Request, answer_200
from tests.messaging.stage import wait_until
from tests.messaging.transport_parts import HEADERS, OpenTransport, paths, post, wait


@pytest.fixture
def transport(rules: TransportRules, open_transport: OpenTransport) -> HttpTransport:
    return open_transport(rules)


def in_servers_thread(server: H2Server, step: Callable[[], None]) -> None:
    """Run a step there and wait for its end."""
    done = threading.Event()
    server.call_soon(lambda: (step(), done.set()))
    assert done.wait(5)


# streams


def test_the_servers_limit_of_streams_is_kept_from_the_first_request_on(
    certificate: Certificate, transport: HttpTransport
) -> None:
    server = H2Server(certificate, max_streams=3).start()

    answers = post(transport, server.url, *paths(60))
    server.stop()

    assert [answer.status for answer in answers.values()] == [200] * 60
    assert (server.most_streams, server.connections) == (3, 1)


def test_a_limit_lowered_and_raised_again_is_kept(server: H2Server, transport: HttpTransport) -> None:
    most: dict[int, int] = {}
    for limit in (5, 2, 7):
        if server.requests:
            in_servers_thread(server, lambda limit=limit: server.requests[0].connection.allow_streams(limit))
        else:
            server.max_streams = limit
        server.most_streams = 0
        post(transport, server.url, *paths(30))
        most[limit] = server.most_streams

    assert most == {5: 5, 2: 2, 7: 7}
    assert server.connections == 1


def test_a_limit_lowered_while_requests_wait_is_kept(server: H2Server, transport: HttpTransport) -> None:
    open_at: list[int] = []

    def lower_at_the_first(request: Request) -> None:
        if not open_at:
            request.connection.allow_streams(2)
        open_at.append(request.connection.h2.open_inbound_streams)
        request.answer(200)

    server.max_streams, server.behaviour = 5, lower_at_the_first

    answers = post(transport, server.url, *paths(40))

    assert [answer.status for answer in answers.values()] == [200] * 40
    assert max(open_at[:5]) == 5
    assert max(open_at[5:]) <= 2


def test_requests_beyond_one_connection_go_over_a_second_and_not_a_third(
    server: H2Server, rules: TransportRules, open_transport: OpenTransport
) -> None:
    held: list[Request] = []
    server.behaviour = held.append
    transport = open_transport(replace(rules, max_connections=2, streams_per_connection=10))
    for key in range(50):
        transport.submit(HttpRequest(key, f"{server.url}/{key}", HEADERS, b"x"))
    give_up_at = time.monotonic() + 5
    while len(held) < 20 and time.monotonic() < give_up_at:
        transport.poll(0.05)
    held_at_first = len(held)

    def answer_all() -> None:
        server.behaviour = answer_200
        for request in held:
            request.answer(200)

    server.call_soon(answer_all)
    answers = wait(transport)

    assert held_at_first == 20
    assert len(answers) == 50
    assert Counter(request.connection.number for request in held) == {1: 10, 2: 10}
    assert server.connections == 2


def test_every_connection_warms_up_with_one_request(
    server: H2Server, rules: TransportRules, open_transport: OpenTransport
) -> None:
    streams: dict[int, list[int]] = {}

    def leave_after_ten(request: Request) -> None:
        connection = request.connection
        if connection.is_leaving:
            return
        seen = streams.setdefault(connection.number, [])
        seen.append(connection.h2.open_inbound_streams)
        request.answer(200)
        if len(seen) == 10:
            connection.goaway(request.stream_id)

    server.behaviour = leave_after_ten
    transport = open_transport(replace(rules, warm_up=True))

    answers = post(transport, server.url, *paths(30))

    assert [answer.status for answer in answers.values()] == [200] * 30
    assert [seen[0] for seen in streams.values()] == [1, 1, 1]
    assert max(streams[1]) > 1


# GOAWAY and loss


def test_a_goaway_every_100_requests_loses_and_doubles_none(
    server: H2Server, rules: TransportRules, open_transport: OpenTransport
) -> None:
    processed: Counter[str] = Counter()
    of_connection: Counter[int] = Counter()

    def leave_after_a_hundred(request: Request) -> None:
        connection = request.connection
        if connection.is_leaving:
            return
        processed[request.path] += 1
        of_connection[connection.number] += 1
        request.answer(200)
        if of_connection[connection.number] == 100:
            connection.goaway(request.stream_id)

    server.behaviour = leave_after_a_hundred
    transport = open_transport(replace(rules, max_connections=2, deadline_s=30))

    answers = post(transport, server.url, *paths(3000))

    assert {answer.status for answer in answers.values()} == {200}
    assert processed == Counter(paths(3000))
    assert server.connections >= 30


def test_streams_that_the_goaway_covers_are_awaited(server: H2Server, transport: HttpTransport) -> None:
    held: list[Request] = []

    def announce_then_answer(request: Request) -> None:
        held.append(request)
        if len(held) == 3:
            # The first of the two GOAWAYs of an orderly end: no new streams, all of these are still answered.
            frame = GoAwayFrame(last_stream_id=2**31 - 1)
            request.connection.transport.write(frame.serialize())
        elif request.connection.number == 2:
            request.answer(200)
            for early in held[:3]:
                early.answer(201)

    server.behaviour = announce_then_answer
    for key in range(3):
        transport.submit(HttpRequest(key, f"{server.url}/{key}", HEADERS, b"x"))
    while len(held) < 3:
        transport.poll(0.05)
    transport.submit(HttpRequest(3, f"{server.url}/3", HEADERS, b"x"))

    answers = wait(transport)

    assert {key: answer.status for key, answer in answers.items()} == {0: 201, 1: 201, 2: 201, 3: 200}
    assert server.paths == paths(4)


def test_a_server_that_sends_everything_away_does_not_keep_us_busy(server: H2Server, transport: HttpTransport) -> None:
    server.behaviour = lambda request: None if request.connection.is_leaving else request.connection.goaway(0)

    answers = post(transport, server.url, *paths(5))

    assert [answer.failure for answer in answers.values()] == [TransportFailure.NOT_SENT] * 5
    assert "GOAWAY" in answers[0].detail
    assert server.connections == 4


def test_an_answer_before_the_body_was_read_is_the_answer(server: H2Server, transport: HttpTransport) -> None:
    def answer_and_reset(request: Request) -> None:
        request.answer(200, b"early")
        request.reset(ErrorCodes.NO_ERROR)

    server.window, server.is_hasty, server.behaviour = 100, True, answer_and_reset
    for key in range(5):
        transport.submit(HttpRequest(key, f"{server.url}/{key}", HEADERS, b"x" * 4000))

    answers = wait(transport)

    assert [(answer.status, answer.body) for answer in answers.values()] == [(200, b"early")] * 5
    assert len(server.requests) == 5


# deadlines and dead connections


def test_a_request_that_is_not_answered_leaves_its_neighbours_alone(
    server: H2Server, rules: TransportRules, open_transport: OpenTransport
) -> None:
    server.behaviour = lambda request: None if request.path == "/lost" else request.answer(200)
    transport = open_transport(replace(rules, deadline_s=0.5))

    answers = post(transport, server.url, "/0", "/lost", "/2")
    later = post(transport, server.url, "/3")

    assert [answers[key].status for key in (0, 2)] == [200, 200]
    assert answers[1].failure is TransportFailure.IN_DOUBT
    assert later[0].status == 200
    assert server.connections == 1
    assert server.resets == [ErrorCodes.CANCEL]


def test_a_connection_closed_while_idle_is_opened_anew(server: H2Server, transport: HttpTransport) -> None:
    post(transport, server.url, "/before")
    in_servers_thread(server, lambda: server.requests[0].connection.hang_up())

    answers = post(transport, server.url, *(f"/{n}" for n in range(20)))

    assert [answer.status for answer in answers.values()] == [200] * 20
    assert server.connections == 2
    assert len(server.requests) == 21


def test_a_connection_that_went_dead_without_a_word_is_not_used_again(
    server: H2Server, rules: TransportRules, open_transport: OpenTransport
) -> None:
    transport = open_transport(replace(rules, deadline_s=0.3))
    post(transport, server.url, "/before")
    in_servers_thread(server, lambda: server.requests[0].connection.transport.pause_reading())

    lost = post(transport, server.url, "/lost")[0]
    after = post(transport, server.url, "/after")[0]

    assert lost.failure is TransportFailure.IN_DOUBT
    assert after.status == 200
    assert server.connections == 2


def test_connections_that_stay_dead_make_room_for_new_ones(
    server: H2Server, rules: TransportRules, open_transport: OpenTransport
) -> None:
    transport = open_transport(replace(rules, deadline_s=0.3))
    for _ in range(4):
        assert post(transport, server.url, "/before")[0].status == 200
        in_servers_thread(server, lambda: server.opened[-1].transport.pause_reading())
        assert post(transport, server.url, "/lost")[0].failure is TransportFailure.IN_DOUBT

    assert post(transport, server.url, "/after")[0].status == 200
    assert server.connections == 5


def test_a_spare_connection_closed_while_idle_fails_nobody(
    server: H2Server, rules: TransportRules, open_transport: OpenTransport
) -> None:
    transport = open_transport(replace(rules, max_connections=2, streams_per_connection=1, deadline_s=1.0))
    give_up_at = time.monotonic() + 5
    # The second connection is asked for by what waits, and there only when nothing does any more.
    while server.connections < 2 and time.monotonic() < give_up_at:
        post(transport, server.url, *paths(2))
    post(transport, server.url, *paths(1))
    opened_at = time.monotonic()
    while time.monotonic() < opened_at + 1.1:
        post(transport, server.url, "/alone")
    in_servers_thread(server, lambda: [connection.hang_up() for connection in server.opened])

    answers = post(transport, server.url, *paths(4))

    assert [answer.status for answer in answers.values()] == [200] * 4


def test_a_slow_answer_does_not_cost_the_connection(
    server: H2Server, rules: TransportRules, open_transport: OpenTransport
) -> None:
    server.behaviour = lambda request: None if request.path == "/slow" else request.answer(200)
    transport = open_transport(replace(rules, deadline_s=0.3))

    slow = post(transport, server.url, "/slow")[0]
    give_up_at = time.monotonic() + 5
    while not server.pings_seen and time.monotonic() < give_up_at:
        time.sleep(0.01)
    after = post(transport, server.url, "/after")[0]

    assert slow.failure is TransportFailure.IN_DOUBT
    assert after.status == 200
    assert server.connections == 1


def test_a_handshake_that_trickles_was_not_sent(
    rules: TransportRules, open_transport: OpenTransport, certificate: Certificate
) -> None:
    transport = open_transport(replace(rules, deadline_s=0.4))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def trickle() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                # The head of a handshake record that promises more than ever comes.
                for octet in b"\x16\x03\x03\x10\x00" + bytes(200):
                    if stop.wait(0.02):
                        return
                    connection.sendall(bytes([octet]))

        thread = threading.Thread(target=trickle)
        thread.start()
        answer = post(transport, f"https://localhost:{listener.getsockname()[1]}", "/")[0]
        stop.set()
        thread.join(5)

    assert answer.failure is TransportFailure.NOT_SENT
    assert 0.3 < answer.elapsed_s < 2


def test_while_the_socket_is_full_nothing_is_lost_and_poll_returns(
    server: H2Server, rules: TransportRules, open_transport: OpenTransport
) -> None:
    server.max_streams = 1000
    transport = open_transport(replace(rules, deadline_s=30, streams_per_connection=1000))
    post(transport, server.url, "/first")
    connection = server.requests[0].connection
    in_servers_thread(server, lambda: connection.transport.pause_reading())
    large = ("x-large: " + "~" * 16_000,)  # no body: flow control would hold that back before the socket does
    for key in range(700):
        transport.submit(HttpRequest(key, f"{server.url}/{key}", HEADERS, b"", large))

    cpu_before = time.process_time()
    early = transport.poll(0.5)
    cpu_s = time.process_time() - cpu_before
    in_servers_thread(server, lambda: connection.transport.resume_reading())
    answers = wait(transport)

    assert early == []
    assert cpu_s < 0.4  # it waited for the socket instead of trying again and again
    assert [answers[key].status for key in range(700)] == [200] * 700


def test_hosts_that_are_idle_are_forgotten_when_others_come(
    server: H2Server, certificate: Certificate, transport: HttpTransport
) -> None:
    left = threading.Event()
    server.when_left = left.set
    post(transport, server.url, "/first")
    for key in range(MAX_ORIGINS):
        transport.submit(HttpRequest(key, f"https://127.0.0.1:{key + 1}/", HEADERS, b"x"))
    wait(transport)
    for key in range(MAX_ORIGINS):
        transport.submit(HttpRequest(key, f"https://localhost:{key + 1}/", HEADERS, b"x"))
    wait(transport)

    assert left.wait(5)
    assert post(transport, server.url, "/again")[0].status == 200


def test_a_dial_that_nobody_looked_after_fails_no_later_request(
    certificate: Certificate, rules: TransportRules, open_transport: OpenTransport
) -> None:
    server = H2Server(certificate, handshake_s=1.0).start()
    for _ in range(3):
        transport = open_transport(replace(rules, max_connections=2, streams_per_connection=1, deadline_s=1.0))
        # The second request asks for a second connection, and is answered on the first before that is there.
        post(transport, server.url, *paths(2))
        late = time.monotonic() + 1.2
        wait_until(lambda late=late: time.monotonic() > late, 3, "the dial to be late and the server to leave it")
        in_servers_thread(
            server, lambda: [known.hang_up() for known in server.opened if not known.transport.is_closing()]
        )

        assert post(transport, server.url, "/after")[0].status == 200
    server.stop()
