"""HTTP requests to the socket process that no SDK sends: each is answered, and the connection goes on."""

from __future__ import annotations

import contextlib
import http.client

import pytest

from tests.realtime.conftest import Live


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("HEAD", "/health", 200),
        ("HEAD", "/nothing-here", 404),
        ("HEAD", "/x/?EIO=4&transport=polling", 400),
        ("GET", "//[x?EIO=4", 400),
        ("HEAD", "//[x", 400),
        ("CONNECT", "/health", 404),
        ("POST", "/health", 404),
    ],
)
def test_an_odd_request_is_answered_and_the_next_one_too(live: Live, method: str, target: str, status: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", live.stack.socket_port, timeout=10)
    connection.putrequest(method, target, skip_host=True)
    connection.putheader("Host", "localhost")
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()

    connection.request("GET", "/health")
    following = connection.getresponse()

    assert response.status == status
    assert (method != "HEAD") or body == b""
    assert (following.status, following.read()[:12]) == (200, b'{"sessions":')
    connection.close()


def test_head_tells_the_length_that_get_would_have(live: Live) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", live.stack.socket_port, timeout=10)
    lengths = []
    for method in ("GET", "HEAD"):
        connection.request(method, "/nothing-here")
        response = connection.getresponse()
        response.read()
        lengths.append(response.headers["Content-Length"])
    connection.close()

    assert lengths[0] == lengths[1] != "0"


def test_a_message_in_endless_empty_pieces_is_cut_off(live: Live) -> None:
    client = live.client()
    begin, more = bytes((0x01, 0x80, 0, 0, 0, 0)), bytes((0x00, 0x80, 0, 0, 0, 0))

    client.socket.sendall(begin)
    with contextlib.suppress(ConnectionError):  # cut off before the last of them
        for _ in range(101):
            client.socket.sendall(more * 1000)

    client.wait_until_closed()
    assert not client.is_open
