"""What one address may do at a socket process, each limit by a server of its own with small bounds."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from devices.rates import parse_rate
from messaging.realtime.limits import Bounds, Limits
from messaging.realtime.server import Address, SocketServer
from tests.free_ports import free_ports
from tests.realtime.conftest import Live
from tests.realtime.live_client import LiveClient
from tests.realtime.stack import wait_until

SECOND_ADDRESS = "127.0.0.2"


@contextlib.contextmanager
def served(**bounds: Any) -> Iterator[str]:
    """A server with these bounds; its address."""
    started: list[int] = []
    stop: list[Callable[[], object]] = []

    async def serve() -> None:
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(over.set))
        await SocketServer(Bounds(**bounds)).run(Address("127.0.0.1", 0), started.append, over.wait())

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        wait_until(lambda: bool(started), "the server")
        yield f"http://127.0.0.1:{started[0]}"
    finally:
        stop[0]()
        thread.join(10)


def exchange(url: str, method: str, path: str, **options: Any) -> tuple[int, Any, http.client.HTTPMessage]:
    """Status, body and headers of one request; `source`, `body` and `headers` may be given."""
    connection = connect(url, options.get("source", "127.0.0.1"))
    connection.request(method, path, options.get("body"), options.get("headers", {}))
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, json.loads(text) if text.startswith("{") else text, response.headers


def connect(url: str, source: str = "127.0.0.1") -> http.client.HTTPConnection:
    """From one of this machine's addresses."""
    target = urlsplit(url)
    assert target.hostname
    return http.client.HTTPConnection(target.hostname, target.port, timeout=10, source_address=(source, 0))


def handshake(live: Live, key: str = "") -> str:
    """The path that opens a session."""
    return f"/{live.application_id}/?EIO=4&transport=polling&apiKey={key or live.account.key}"


def opened(live: Live, url: str, key: str = "", **options: Any) -> str:
    """The path of a session that polls."""
    status, body, _ = exchange(url, "GET", handshake(live, key), **options)
    assert status == 200, body
    return f"{handshake(live, key)}&sid={json.loads(body[1:])['sid']}"


def test_sessions_of_one_address_are_counted_and_those_of_another_apart(live: Live) -> None:
    with served(sessions=2) as url:
        paths = [opened(live, url), opened(live, url)]

        status, body, headers = exchange(url, "GET", handshake(live))
        opened(live, url, source=SECOND_ADDRESS)
        exchange(url, "POST", paths[0], body=b"1")

        assert (status, body["code"], headers["Retry-After"]) == (429, 5906, "10")
        assert body["message"] == "Too many sessions from this address: 2 is the limit. Try again in 10 s."
        assert headers["Access-Control-Allow-Origin"] == "*"
        opened(live, url)


def test_a_websocket_over_the_limit_hears_why(live: Live) -> None:
    with served(sessions=1) as url:
        live.client(url=url)
        websocket = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "A" * 22 + "=="}

        status, body, _ = exchange(url, "GET", handshake(live).replace("polling", "websocket"), headers=websocket)

        assert (status, body["code"]) == (429, 5906)


def test_sessions_with_a_right_key_are_not_counted_as_strangers(live: Live) -> None:
    with served(strangers=2) as url:
        for _ in range(5):
            live.client(url=url)
        for _ in range(2):
            live.client(url=url, key="WRONG")

        status, body, _ = exchange(url, "GET", handshake(live))

        assert (status, body["code"]) == (429, 5906)
        assert body["message"].startswith("Too many sessions without a right key from this address: 2 is the limit.")
        opened(live, url, source=SECOND_ADDRESS)


def test_where_strangers_are_too_many_who_waits_longest_without_joining_goes(live: Live) -> None:
    with served(strangers=1) as url:
        paths = [opened(live, url, source=f"127.0.0.{number}") for number in range(1, 8)]

        heard = [exchange(url, "POST", path, body=b"3")[0] for path in paths]

        assert heard == [400, 400, 200, 200, 200, 200, 200]


def test_strangers_with_wrong_keys_make_room_as_well(live: Live) -> None:
    with served(strangers=1) as url:
        clients = [Stranger(live, url, f"127.0.0.{number}") for number in range(1, 6)]

        opened(live, url, source="127.0.0.9")

        clients[0].wait_until_closed()
        live.client(url=url).subscribe("MESSAGES")
        clients[-1].call("SUB_ON", "PUB_SUB_MESSAGES", channel="default")
        assert clients[-1].next_event()[1]["error"]["code"] == 2002


class Stranger(LiveClient):
    """A client with a wrong key and an address of its own, closed when the test ends."""

    def __init__(self, live: Live, url: str, source: str) -> None:
        self.source = source
        super().__init__(url, live.application_id, "WRONG")
        live.open_clients.append(self)


def test_who_joins_no_namespace_is_let_go(live: Live) -> None:
    with served(join_s=0.1) as url:
        path = opened(live, url)
        joined = live.client(url=url)

        wait_until(lambda: exchange(url, "POST", path, body=b"3")[0] == 400, "the session's end", 5)

        joined.subscribe("MESSAGES")


def test_who_has_left_its_namespace_is_let_go(live: Live) -> None:
    with served(join_s=0.1) as url:
        client = live.client(url=url)

        client.send(f"41{client.namespace},")

        client.wait_until_closed(5)


def test_sessions_opened_too_fast_are_told_when_to_come_back(live: Live) -> None:
    with served(opening=parse_rate("6/min burst 3")) as url:
        for _ in range(3):
            opened(live, url)

        status, body, headers = exchange(url, "GET", handshake(live))

        assert (status, body["code"], headers["Retry-After"]) == (429, 5906, "10")
        assert "6/min burst 3 is the limit" in body["message"]


def test_keys_cannot_be_guessed_for_ever_while_known_ones_go_on(live: Live) -> None:
    with served(failures=parse_rate("1/h burst 2")) as url:
        live.client(url=url)
        clients = [live.client(url=url, key=key) for key in ("A", "B", "C", live.account.client_key, "")]
        codes = []
        for client in clients:
            call_id = client.call("SUB_ON", "PUB_SUB_MESSAGES", channel="default")
            _, argument = client.next_event()
            assert argument["id"] == call_id
            codes.append(argument.get("error", {}).get("code"))

    assert codes == [2002, 2002, 5906, 5906, None]


def test_behind_a_proxy_the_client_is_the_last_address_it_wrote(live: Live) -> None:
    with served(sessions=1, is_behind_proxy=True) as url:
        opened(live, url, headers={"X-Forwarded-For": "9.9.9.9, 198.51.100.1"})

        same, _, _ = exchange(url, "GET", handshake(live), headers={"X-Forwarded-For": "198.51.100.1"})
        other, _, _ = exchange(url, "GET", handshake(live), headers={"X-Forwarded-For": "9.9.9.9"})
        nobody, _, _ = exchange(url, "GET", handshake(live), headers={"X-Forwarded-For": "nonsense"})

    assert (same, other, nobody) == (429, 200, 200)


def test_without_a_proxy_nobody_can_name_another_address(live: Live) -> None:
    with served(sessions=1) as url:
        opened(live, url)

        assert exchange(url, "GET", handshake(live), headers={"X-Forwarded-For": "9.9.9.9"})[0] == 429


def test_connections_beyond_those_of_one_address_hear_429(live: Live) -> None:
    with served(sessions=1, connections=5) as url, contextlib.ExitStack() as open_ones:
        heard = []
        for number in (1, 1, 1, 2, 2, 3):
            raw = open_ones.enter_context(raw_connection(url, f"127.0.0.{number}"))
            raw.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            heard.append(raw.recv(2000))

    statuses = [answer.split()[1] for answer in heard]
    assert statuses == [b"200", b"200", b"429", b"200", b"200", b"200"]


def test_a_process_that_is_full_says_so(live: Live) -> None:
    with served(connections=2) as url, contextlib.ExitStack() as open_ones:
        for number in (2, 3):
            raw = open_ones.enter_context(raw_connection(url, f"127.0.0.{number}"))
            raw.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            raw.recv(2000)

        full = open_ones.enter_context(raw_connection(url, "127.0.0.4")).recv(2000)

    head, _, body = full.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"Access-Control-Allow-Origin: *" in head
    assert json.loads(body)["code"] == 5908


def raw_connection(url: str, source: str) -> socket.socket:
    target = urlsplit(url)
    return socket.create_connection((target.hostname, target.port), 10, (source, 0))


@pytest.mark.parametrize(
    "sent", [b"", b"GET /health HTTP/1.1\r\nHost", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"]
)
def test_a_request_that_dawdles_is_408(live: Live, sent: bytes) -> None:
    with served(request_s=0.1) as url, raw_connection(url, "127.0.0.1") as slow:
        slow.sendall(sent)

        heard = read_all(slow)

    assert heard.startswith(b"HTTP/1.1 408 ")
    assert b'"code":5909' in heard


def read_all(connected: socket.socket) -> bytes:
    """Until the server closes."""
    heard = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connected.recv(1000):
            heard += piece
    return heard


def test_a_websocket_handshake_that_drips_is_408(live: Live) -> None:
    with served(request_s=0.5) as url, raw_connection(url, "127.0.0.1") as slow:
        slow.settimeout(0.02)
        heard = b""
        for byte in f"GET {handshake(live)} HTTP/1.1\r\nUpgrade: websocket\r\nX-Slow: {'x' * 1000}".encode():
            slow.sendall(bytes((byte,)))
            with contextlib.suppress(TimeoutError):
                heard = slow.recv(1000)
            if heard:
                break

    assert heard.startswith(b"HTTP/1.1 408 ")


def test_what_comes_behind_a_held_poll_is_not_kept(live: Live) -> None:
    with served() as url, raw_connection(url, "127.0.0.1") as flood:
        flood.sendall(f"GET {opened(live, url)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

        with pytest.raises(ConnectionError):
            for _ in range(100):
                flood.sendall(b"x" * 100_000)


def test_a_stranger_sends_eight_kib_and_whoever_has_a_right_key_more(live: Live) -> None:
    packet = "4" + "x" * 20_000
    with served() as url:
        stranger = opened(live, url, "WRONG")
        known = opened(live, url)
        exchange(url, "POST", known, body=f"40/{live.application_id},".encode())
        exchange(url, "GET", known)

        refused, error, _ = exchange(url, "POST", stranger, body=packet.encode())

        assert (refused, error["code"]) == (413, 5903)
        assert exchange(url, "POST", known, body=packet.encode())[0] == 200


def test_an_address_that_sends_too_much_is_read_later_and_others_at_once(live: Live) -> None:
    with served(packets=parse_rate("100/s burst 40")) as url:
        flood = live.client(url=url, protocol=3)
        began = time.monotonic()
        for _ in range(140):
            flood.send("2")
        with raw_connection(url, SECOND_ADDRESS) as other:
            other.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            other.recv(2000)
            others_s = time.monotonic() - began
        pongs = [flood.next_packet() for _ in range(140)]
        exchange(url, "GET", "/health")

        assert time.monotonic() - began > 0.8
        assert others_s < 0.8
        assert pongs == ["3"] * 140


def test_a_post_of_endless_packets_ends_the_session(live: Live) -> None:
    with served() as url:
        path = opened(live, url)

        exchange(url, "POST", path, body=b"3\x1e" * 2_000)

        assert exchange(url, "POST", path, body=b"3")[0] == 400


def test_where_too_much_is_kept_for_all_who_keeps_most_goes(live: Live) -> None:
    with served(held=300_000) as url:
        path, frugal = opened(live, url), live.client(url=url)
        frugal.subscribe("MESSAGES")
        call = json.dumps(["SUB_ON", {"id": "a", "name": "PUB_SUB_MESSAGES", "options": {"channel": "default"}}])
        exchange(url, "POST", path, body=f"40/{live.application_id},".encode())
        exchange(url, "GET", path)
        exchange(url, "POST", path, body=f"42/{live.application_id},{call}".encode())

        for number in range(2):
            live.publish([number, "x" * 200_000])
        received = [frugal.next_content()["message"][0] for _ in range(2)]

        wait_until(lambda: exchange(url, "POST", path, body=b"3")[0] == 400, "the session's end", 5)
        assert received == [0, 1]
        frugal.subscribe("MESSAGES")


def test_an_address_takes_twenty_subscriptions_for_each_session_it_may_have(live: Live) -> None:
    with served(sessions=2) as url:
        first, second = live.client(url=url), live.client(url=url)
        for _ in range(39):
            first.subscribe("MESSAGES")
        kept = second.subscribe("MESSAGES")
        second.call("SUB_ON", "PUB_SUB_MESSAGES", channel="default")

        assert second.next_event()[1]["error"]["code"] == 5906
        second.call("SUB_OFF", call_id=kept)
        second.subscribe("MESSAGES")


def test_the_bounds_of_a_process_are_settings(live: Live) -> None:
    (port,) = free_ports(1)
    limited = {
        "CLARION_SOCKET_SESSIONS": "2",
        "CLARION_SOCKET_STRANGERS": "1",
        "CLARION_BEHIND_PROXY": "true",
    }
    command = [sys.executable, "manage.py", "sockets", "--port", str(port)]
    live.stack.spawn("limited sockets", command, limited)
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: is_listening(port), "the socket process")

    def code(client: str) -> int:
        _, answer, _ = exchange(url, "GET", handshake(live), headers={"X-Forwarded-For": client})
        return int(answer["code"]) if isinstance(answer, dict) else 0

    assert [code("198.51.100.1"), code("198.51.100.1"), code("198.51.100.2")] == [0, 5906, 0]
    live.stack.stop("limited sockets")


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_counts_come_back_to_nothing() -> None:
    limits = Limits(Bounds(sessions=1, strangers=1))
    for _ in range(3):
        limits.admit("a")
        limits.know("a")
        limits.forget("a", was_stranger=False)
        limits.admit("a")
        limits.forget("a", was_stranger=True)

    limits.admit("a")
    assert not limits.has_too_many_strangers


def test_the_addresses_of_one_ipv6_network_are_counted_together() -> None:
    limits = Limits(Bounds())

    assert limits.client_of("2001:db8:1:2::1", {}) == limits.client_of("2001:db8:1:2:ffff::2", {})
    assert limits.client_of("2001:db8:1:2::1", {}) != limits.client_of("2001:db8:1:3::1", {})
    assert limits.client_of("::ffff:198.51.100.1", {}) == "198.51.100.1"


def test_zero_is_no_limit() -> None:
    limits = Limits(Bounds(sessions=0, strangers=0, connections=0, opening=None, packets=None, failures=None))
    for _ in range(10_000):
        limits.admit("a")
        limits.enter("a")
        limits.check_subscriptions("a")
        limits.spend("a", 1_000_000)

    assert (limits.wait_s("a"), limits.has_too_many_strangers) == (0.0, False)
