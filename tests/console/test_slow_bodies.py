"""Clients that dawdle, lie about lengths or send too much, against the web server as `manage.py up` starts it."""

from __future__ import annotations

import json
import socket
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from pytest_django.fixtures import Settings

from console.startup import web_server
from tests.factories import ApiAccount, make_account
from tests.free_ports import free_ports
from tests.realtime.stack import Stack, database_url_of_tests, wait_until

DEVICE = {"deviceToken": "t" * 20, "deviceId": "d1", "os": "ANDROID", "osVersion": "14"}


@pytest.fixture
def account(transactional_db: None) -> ApiAccount:
    """An application that other processes see."""
    return make_account()


@pytest.fixture
def web(account: ApiAccount) -> Iterator[Stack]:
    """A web server of this test's own: what it remembers of an address would meet the next test."""
    yield from _served()


@pytest.fixture
def single_web(account: ApiAccount, settings: Settings) -> Iterator[Stack]:
    """The same with one process, which then meets all connections."""
    settings.WEB_WORKERS = 1
    yield from _served()


@pytest.fixture(scope="module")
def shared_web(django_db_setup: None) -> Iterator[Stack]:
    """The web server of the tests that have nobody cut off."""
    yield from _served()


def _served() -> Iterator[Stack]:
    web_port, socket_port = free_ports(2)
    stack = Stack(database_url_of_tests(), web_port, socket_port)
    stack.spawn("web", list(web_server("127.0.0.1", web_port).command))
    try:
        wait_until(lambda: _is_open(web_port), "the web server", timeout_s=60.0)
        yield stack
    finally:
        stack.stop()


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Sender:
    """A raw connection."""

    def __init__(self, web: Stack, address: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", web.web_port), timeout=30, source_address=(address, 0))

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, path: str, headers: str, body: bytes = b"") -> Sender:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\r\n\r\n"
        self.socket.sendall(head.encode() + body)
        return self

    def answer(self) -> tuple[int, dict[str, object], bool]:
        """Status, JSON, and whether the connection was closed behind it."""
        received, is_closed = b"", False
        while not (_is_whole(received) and is_closed):
            try:
                chunk = self.socket.recv(65_536)
            except TimeoutError:
                break
            received, is_closed = received + chunk, not chunk
            self.socket.settimeout(1.0 if _is_whole(received) else 30.0)
            if is_closed:
                break
        head, _, content = received.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(content) if content else {}, is_closed


def _is_whole(received: bytes) -> bool:
    head, found, content = received.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(found) and bool(lengths) and len(content) >= int(lengths[0].split(b":")[1])


def path_of(account: ApiAccount, call: str = "registrations") -> str:
    return f"{account.prefix}/messaging/{call}"


def register(web: Stack, account: ApiAccount) -> float:
    """One ordinary registration from another address than that of the slow ones; the seconds it took."""
    body = json.dumps(DEVICE).encode()
    began = time.monotonic()
    with Sender(web, "127.0.0.2") as sender:
        sender.send(path_of(account), f"Content-Length: {len(body)}\r\nConnection: close", body)
        assert sender.answer()[0] == 200
    return time.monotonic() - began


def warm_up(web: Stack, account: ApiAccount) -> None:
    """The first request of each process loads code and connects to the database."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: register(web, account), range(20)))


def test_a_body_that_stops_is_given_up_after_ten_seconds(web: Stack, account: ApiAccount) -> None:
    began = time.monotonic()
    with Sender(web).send(path_of(account), "Content-Length: 300", b'{"deviceId":') as sender:
        status, answer, is_closed = sender.answer()

    assert (status, answer["code"], is_closed) == (408, 5909, True)
    assert 9.5 < time.monotonic() - began < 14.0


def test_twenty_senders_of_a_byte_a_second_hold_nobody_up(web: Stack, account: ApiAccount) -> None:
    warm_up(web, account)
    with ExitStack() as stack:
        slow = [stack.enter_context(Sender(web)) for _ in range(20)]
        for sender in slow:
            sender.send(path_of(account), "Content-Length: 300")
        times = []
        for _ in range(30):
            times.append(register(web, account))
            for sender in slow:
                _drip(sender)
            time.sleep(0.1)

    assert statistics.quantiles(times, n=10)[-1] < 0.2
    assert max(times) < 2.0  # where most of the twenty met one process: until it cut them off


def _drip(sender: Sender) -> None:
    try:
        sender.socket.send(b"x")
    except OSError:
        return  # cut off


def test_an_address_whose_bodies_dawdled_gets_few_at_a_time(single_web: Stack, account: ApiAccount) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(Sender(single_web)) for _ in range(40)]
        for sender in slow:
            sender.send(path_of(account), "Content-Length: 300")
        with ThreadPoolExecutor(40) as pool:
            first = [answer[0] for answer in pool.map(Sender.answer, slow)]
        again = [stack.enter_context(Sender(single_web)) for _ in range(12)]
        for sender in again:
            sender.send(path_of(account), "Content-Length: 300")
        with ThreadPoolExecutor(12) as pool:
            second = [answer[0] for answer in pool.map(Sender.answer, again)]

    assert set(first) <= {400, 408, 429}  # 400: it still waited for a thread when its connection was cut
    assert first.count(408) >= 10
    assert second.count(429) >= 6  # two are read, and as many more as came at the same instant


def test_a_long_upload_is_spared_where_a_body_of_the_same_address_stops(single_web: Stack, account: ApiAccount) -> None:
    body = json.dumps({"message": "m", "filler": "x" * 200_000}).encode()
    with Sender(single_web) as stopped, Sender(single_web) as upload:
        upload.send(path_of(account, "default"), f"Content-Length: {len(body)}")
        stopped.send(path_of(account), "Content-Length: 300", b'{"deviceId":')
        for start in range(0, len(body), len(body) // 60):
            upload.socket.sendall(body[start : start + len(body) // 60])
            time.sleep(0.2)

        assert upload.answer()[0] == 200
        assert stopped.answer()[0] == 408


def test_a_form_of_the_console_that_dawdles_is_given_up_too(web: Stack) -> None:
    with Sender(web) as sender:
        head = "POST /login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        sender.socket.sendall(head.encode() + b"Content-Length: 50\r\nCookie: clarion-csrf=x\r\n\r\nusername=")
        began = time.monotonic()
        received = sender.socket.recv(65_536)

    assert received.split()[1] == b"403"
    assert time.monotonic() - began < 14.0


def test_connections_that_say_nothing_do_not_shut_others_out(shared_web: Stack, account: ApiAccount) -> None:
    warm_up(shared_web, account)
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(Sender(shared_web))
        times = [register(shared_web, account) for _ in range(5)]

    assert statistics.median(times) < 0.5
    assert max(times) < 5.0  # not the ten seconds after which silent connections are closed


def test_a_body_that_ends_before_its_length_is_refused(shared_web: Stack, account: ApiAccount) -> None:
    body = json.dumps(DEVICE).encode()
    with Sender(shared_web).send(path_of(account), f"Content-Length: {len(body) + 1}", body) as sender:
        sender.socket.shutdown(socket.SHUT_WR)
        status, answer, is_closed = sender.answer()

    assert (status, answer["code"], is_closed) == (400, 5900, True)


@pytest.mark.parametrize(
    "lengths",
    ["Content-Length: 3\r\nContent-Length: 4", "Content-Length: -3", "Content-Length: 3, 4", "Content-Length: x"],
)
def test_lengths_that_contradict_or_are_none_are_400_and_closed(
    shared_web: Stack, account: ApiAccount, lengths: str
) -> None:
    with Sender(shared_web).send(path_of(account), lengths, b"{}") as sender:
        status, _, is_closed = sender.answer()

    assert (status, is_closed) == (400, True)


@pytest.mark.parametrize("coding", ["identity", "xchunked", "chunked, gzip"])
def test_a_transfer_coding_nobody_knows_is_400_and_closed(shared_web: Stack, account: ApiAccount, coding: str) -> None:
    with Sender(shared_web).send(path_of(account), f"Transfer-Encoding: {coding}", b"2\r\n{}\r\n0\r\n\r\n") as sender:
        status, _, is_closed = sender.answer()

    assert (status, is_closed) == (400, True)


def test_chunked_goes_before_a_length_and_the_connection_ends_there(shared_web: Stack, account: ApiAccount) -> None:
    body = json.dumps(DEVICE).encode()
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    smuggled = b"POST /smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    with Sender(shared_web).send(
        path_of(account), "Content-Length: 5\r\nTransfer-Encoding: chunked", chunked
    ) as sender:
        sender.socket.sendall(smuggled)
        received = b""
        while chunk := sender.socket.recv(65_536):
            received += chunk

    assert received.startswith(b"HTTP/1.1 200")
    assert received.count(b"HTTP/1.1 ") == 1


def test_a_chunked_body_over_the_limit_is_413(shared_web: Stack, account: ApiAccount) -> None:
    with Sender(shared_web).send(path_of(account), "Transfer-Encoding: chunked") as sender:
        for _ in range(40):
            sender.socket.sendall(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
        sender.socket.sendall(b"0\r\n\r\n")
        status, answer, _ = sender.answer()

    assert (status, answer["code"]) == (413, 5903)


@pytest.mark.parametrize("call", ["registrations", "default"])
def test_whoever_sends_eleven_megabytes_hears_that_it_is_too_much(
    shared_web: Stack, account: ApiAccount, call: str
) -> None:
    size = 11 * 1024 * 1024
    for _ in range(5):
        with Sender(shared_web).send(path_of(account, call), f"Content-Length: {size}") as sender:
            sender.socket.sendall(b" " * size)
            status, answer, _ = sender.answer()
        assert (status, answer["code"]) == (413, 5903)
