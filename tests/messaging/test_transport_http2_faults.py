"""What an HTTP/2 server may do wrong, and how the transport takes it."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from hyperframe.frame import HeadersFrame

from messaging.providers.base import HttpRequest, TransportFailure
from messaging.providers.http_transport import HttpTransport
from messaging.providers.transport_rules import TransportRules
from tests.messaging.h2_server import Certificate, H2Server, Request, answer_200
from tests.messaging.transport_parts import HEADERS, OpenTransport, paths, post


@pytest.fixture
def transport(rules: TransportRules, open_transport: OpenTransport) -> HttpTransport:
    return open_transport(rules)


@pytest.mark.parametrize("protocols", [("http/1.1",), ()])
def test_a_server_that_speaks_no_http2_is_a_tls_failure(
    certificate: Certificate, transport: HttpTransport, protocols: tuple[str, ...]
) -> None:
    server = H2Server(certificate, protocols=protocols).start()

    answer = post(transport, server.url, "/")[0]
    server.stop()

    assert answer.failure is TransportFailure.TLS
    assert "HTTP/2" in answer.detail


FRAMES = {
    "no frame at all": b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20,
    "a frame too large": b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + bytes(100),
    "headers on stream 0": b"\x00\x00\x01\x01\x04\x00\x00\x00\x00\x88",
    "data on a stream never opened": b"\x00\x00\x01\x00\x01\x00\x00\x00\x63x",
    "a header block that cannot be decoded": b"\x00\x00\x02\x01\x05\x00\x00\x00\x01\xff\xff",
    "a window that overflows": b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\xff\xff" * 2,
    "a ping of three bytes": b"\x00\x00\x03\x06\x00\x00\x00\x00\x00abc",
    "settings with a broken length": b"\x00\x00\x05\x04\x00\x00\x00\x00\x00abcde",
    "a push promise": b"\x00\x00\x05\x05\x04\x00\x00\x00\x01\x00\x00\x00\x02\x82",
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_broken_frame_ends_the_connection_and_its_requests_are_in_doubt(
    server: H2Server, transport: HttpTransport, frame: bytes
) -> None:
    server.behaviour = lambda request: request.connection.transport.write(frame)

    broken = post(transport, server.url, "/broken")[0]
    server.behaviour = answer_200
    after = post(transport, server.url, "/after")[0]

    assert broken.failure is TransportFailure.IN_DOUBT
    assert after.status == 200
    assert server.connections == 2


def test_a_broken_frame_behind_a_huge_answer_leaves_its_verdict(server: H2Server, transport: HttpTransport) -> None:
    def answer_then_break(request: Request) -> None:
        request.answer(410, b"x" * 9000)
        request.connection.transport.write(FRAMES["a frame too large"])

    server.behaviour = answer_then_break

    answer = post(transport, server.url, "/")[0]

    assert (answer.status, answer.failure) == (410, None)


@pytest.mark.parametrize(
    "fields",
    [
        [(":status", "abc")],
        [("date", "today")],
        [(":status", "200"), ("x", "a\r\nb: c")],
        [(":status", "200"), ("X-Upper", "1")],
    ],
    ids=["status is no number", "no status", "line break in a field", "upper case name"],
)
def test_a_broken_answer_is_in_doubt_and_its_neighbour_is_not(
    server: H2Server, transport: HttpTransport, fields: list[tuple[str, str]]
) -> None:
    def answer_wrongly(request: Request) -> None:
        if request.path == "/fine":
            request.answer(200)
            return
        block = request.connection.h2.encoder.encode(fields)
        frame = HeadersFrame(request.stream_id, block, flags=["END_HEADERS", "END_STREAM"])
        request.connection.transport.write(frame.serialize())

    server.behaviour = answer_wrongly

    answers = post(transport, server.url, "/broken", "/fine")

    assert answers[0].failure is TransportFailure.IN_DOUBT
    assert answers[1].status == 200
    assert server.connections == 1


def test_pings_of_the_server_are_answered(server: H2Server, transport: HttpTransport) -> None:
    def ping_then_answer(request: Request) -> None:
        request.connection.h2.ping(b"12345678")
        request.answer(200)

    server.behaviour = ping_then_answer

    post(transport, server.url, *paths(5))
    give_up_at = time.monotonic() + 5
    while server.pings_answered < 5 and time.monotonic() < give_up_at:
        time.sleep(0.01)

    assert server.pings_answered == 5


def test_close_ends_the_connections_and_gives_no_answers(server: H2Server, transport: HttpTransport) -> None:
    arrived, left = threading.Event(), threading.Event()
    server.behaviour = lambda request: arrived.set()
    server.when_left = left.set
    transport.submit(HttpRequest(1, f"{server.url}/", HEADERS, b"x"))
    while not arrived.is_set():
        transport.poll(0.05)

    transport.close()

    assert left.wait(5)
    assert transport.in_flight == 0


def test_a_ca_file_that_is_none_is_a_tls_failure(
    server: H2Server, rules: TransportRules, open_transport: OpenTransport
) -> None:
    transport = open_transport(replace(rules, ca_file="/nowhere/ca.pem"))

    answer = post(transport, server.url, "/")[0]

    assert answer.failure is TransportFailure.TLS
