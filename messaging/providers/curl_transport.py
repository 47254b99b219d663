"""Move HTTPS requests over long-lived, multiplexed connections with libcurl; knows nothing of push.

libcurl through `CurlMulti` loses no request on GOAWAY and has total deadlines; the usual Python clients have neither.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pycurl

from messaging.providers.base import HttpAnswer, HttpRequest
from messaging.providers.curl_failures import classify_failure, is_broken, is_refused
from messaging.providers.transport_rules import (
    BODY_LIMIT,
    MAX_REFUSALS,
    USER_AGENT,
    TransportRules,
)

#: Devices may name any host below an allowed suffix, so what is kept per host has a bound.
MAX_IDLE_CONNECTIONS = 64
MAX_IDLE_ORIGINS = 1000
#: longer between two polls: answers may have come meanwhile, and libcurl looks at its clock before it looks at them
_AWAY_S = 1.0
_EPOLL_MASK = {
    pycurl.POLL_NONE: 0,
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}


@dataclass(slots=True)
class _Origin:
    """Requests to one scheme, host and port; a slow origin never takes another's turn."""

    window: int
    waiting: deque[tuple[HttpRequest, int]] = field(default_factory=deque)  #: with how often it was refused
    active: int = 0


class _Transfer:
    """One reusable libcurl handle and what it has received so far."""

    __slots__ = (
        "body",
        "curl",
        "extra_s",
        "forbidden",
        "header_lines",
        "headers",
        "origin",
        "reader",
        "refusals",
        "request",
        "sent_body",
        "size",
        "sockets",
        "url",
    )

    def __init__(self, rules: TransportRules) -> None:
        self.request: HttpRequest | None = None
        self.origin: _Origin | None = None
        self.refusals = 0
        self.url = ""
        self.headers: tuple[str, ...] | None = None
        self.sent_body: bytes | None = None
        self.reader = BytesIO()
        self.header_lines: list[bytes] = []
        self.body: list[bytes] = []
        self.size = 0
        self.forbidden = False
        self.extra_s = 0.0  #: beyond the deadline of every request
        self.sockets: list[socket.socket] = []
        self.curl: Any = _new_handle(rules)
        # A bound list.append runs without a Python frame: some eight header lines come per answer.
        self.curl.setopt(pycurl.HEADERFUNCTION, self.header_lines.append)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._receive)
        self.curl.setopt(pycurl.OPENSOCKETFUNCTION, self._socket_opener(rules))

    def load(self, request: HttpRequest, origin: _Origin, refusals: int) -> None:
        """Fill the handle for its next request; options that equal the last request's stay as they are."""
        self.request, self.origin, self.refusals = request, origin, refusals
        if request.url != self.url:
            self.curl.setopt(pycurl.URL, request.url)
            self.url = request.url
        if request.headers is not self.headers or request.own_headers:
            # Empty values switch off what libcurl adds by itself.
            self.curl.setopt(pycurl.HTTPHEADER, [*request.headers, *request.own_headers, "Accept:", "Expect:"])
            self.headers = None if request.own_headers else request.headers
        if request.body is self.sent_body:
            self.reader.seek(0)
        else:
            # Read through a function, since libcurl cannot rewind that: with POSTFIELDS it sends a POST again by itself
            # when a connection breaks before the answer, and a device gets the notification twice.
            self.sent_body, self.reader = request.body, BytesIO(request.body)
            self.curl.setopt(pycurl.POSTFIELDSIZE, len(request.body))
            self.curl.setopt(pycurl.READFUNCTION, self.reader.read)

    def allow(self, deadline_s: float, extra_s: float) -> None:
        """Give the request in hand more time than others have."""
        if extra_s != self.extra_s:
            self.extra_s = extra_s
            self.curl.setopt(pycurl.TIMEOUT_MS, int((deadline_s + extra_s) * 1000))

    def unload(self) -> None:
        """Forget the finished request."""
        self.request = self.origin = None
        self.header_lines.clear()
        self.body.clear()
        self.size, self.forbidden = 0, False
        # pycurl gave libcurl duplicates of these.
        for opened in self.sockets:
            opened.close()
        self.sockets.clear()

    def _receive(self, chunk: bytes) -> int | None:
        self.body.append(chunk[: BODY_LIMIT - self.size])
        self.size += len(chunk)
        # A short count makes libcurl reset this stream: the verdict stands in the status and the first bytes.
        return 0 if self.size > BODY_LIMIT else None

    def _socket_opener(self, rules: TransportRules) -> Callable[[int, Any], socket.socket | int]:
        def open_socket(_purpose: int, address: Any) -> socket.socket | int:
            family, kind, protocol, peer = address
            host = peer[0].decode() if isinstance(peer[0], bytes) else str(peer[0])
            if rules.allows(host):
                self.sockets.append(socket.socket(family, kind, protocol))
                return self.sockets[-1]
            self.forbidden = True
            return int(pycurl.SOCKET_BAD)

        return open_socket


class CurlTransport:
    """`base.Transport` on libcurl's multi interface with its own epoll (select stops at descriptor 1024)."""

    def __init__(self, rules: TransportRules) -> None:
        self._rules = rules
        self._origins: dict[str, _Origin] = {}
        self._idle: list[_Transfer] = []
        self._running: dict[Any, _Transfer] = {}
        self._waiting = 0
        self._polled_at = time.monotonic()
        self._epoll = select.epoll()
        self._multi = self._new_multi()

    @property
    def in_flight(self) -> int:
        """Requests submitted whose answers `poll` has not yet returned."""
        return self._waiting + len(self._running)

    def submit(self, request: HttpRequest) -> None:
        """Start a request, or keep it until its origin has a stream free; returns at once."""
        if not self.in_flight:
            self._polled_at = time.monotonic()
        origin = self._origin(request.url)
        if origin.active < origin.window:
            self._start(request, origin, 0)
        else:
            origin.waiting.append((request, 0))
            self._waiting += 1

    def poll(self, timeout_s: float) -> list[HttpAnswer]:
        """Answers that came in, waiting at most `timeout_s` seconds for the first."""
        if not self.in_flight:
            return []
        now = time.monotonic()
        self._allow_for_absence(now - self._polled_at)
        give_up_at = now + timeout_s
        while True:
            self._turn(give_up_at)
            answers = self._collect()
            self._polled_at = time.monotonic()
            if answers or not self.in_flight or self._polled_at >= give_up_at:
                return answers

    def close(self) -> None:
        """Close every connection; requests in flight get no answer."""
        for curl, transfer in self._running.items():
            self._multi.remove_handle(curl)
            curl.close()
            transfer.unload()
        self._running.clear()
        for transfer in self._idle:
            transfer.curl.close()
        self._idle.clear()
        self._origins.clear()
        self._waiting = 0
        self._multi.close()
        self._epoll.close()

    def _new_multi(self) -> Any:
        multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, self._rules.streams_per_connection)
        # A connection that drains after GOAWAY still counts; its successor must not wait for it.
        multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 2 * self._rules.max_connections)
        multi.setopt(pycurl.M_MAXCONNECTS, MAX_IDLE_CONNECTIONS)
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        return multi

    def _watch(self, what: int, fd: int, _multi: Any, known: bool | None) -> None:
        if what == pycurl.POLL_REMOVE:
            self._epoll.unregister(fd)
        elif known:
            self._epoll.modify(fd, _EPOLL_MASK[what])
        else:
            self._epoll.register(fd, _EPOLL_MASK[what])
            self._multi.assign(fd, True)

    def _origin(self, url: str) -> _Origin:
        name = url[: url.find("/", 8)]
        origin = self._origins.get(name)
        if origin is None:
            if len(self._origins) >= MAX_IDLE_ORIGINS:
                self._origins = {known: busy for known, busy in self._origins.items() if busy.active}
            window = 1 if self._rules.warm_up else self._full_window()
            origin = self._origins[name] = _Origin(window)
        return origin

    def _full_window(self) -> int:
        return self._rules.max_connections * self._rules.streams_per_connection

    def _start(self, request: HttpRequest, origin: _Origin, refusals: int) -> None:
        transfer = self._idle.pop() if self._idle else _Transfer(self._rules)
        transfer.load(request, origin, refusals)
        transfer.allow(self._rules.deadline_s, 0.0)
        origin.active += 1
        self._running[transfer.curl] = transfer
        self._multi.add_handle(transfer.curl)

    def _allow_for_absence(self, away_s: float) -> None:
        """Whoever polls had to wait, for the database say: that is not the fault of the requests."""
        if away_s > _AWAY_S:
            for transfer in self._running.values():
                transfer.allow(self._rules.deadline_s, transfer.extra_s + away_s)

    def _turn(self, give_up_at: float) -> None:
        """Wait for sockets or libcurl's timer, whichever is first, and let libcurl work."""
        wait_s = max(0.0, give_up_at - time.monotonic())
        # Asked once a turn; a timer callback would run Python for every request (0.039 against 0.029 CPU-s per 1,000).
        timer_ms = self._multi.timeout()
        timer_is_first = 0 <= timer_ms / 1000 <= wait_s
        for fd, mask in self._epoll.poll(timer_ms / 1000 if timer_is_first else wait_s):
            ready = pycurl.CSELECT_IN * bool(mask & ~select.EPOLLOUT) | pycurl.CSELECT_OUT * bool(
                mask & select.EPOLLOUT
            )
            self._multi.socket_action(fd, ready)
        if timer_is_first:
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def _collect(self) -> list[HttpAnswer]:
        _, finished, failed = self._multi.info_read()
        answers = [self._finish(curl, 0, "") for curl in finished]
        answers += [answer for curl, code, words in failed if (answer := self._fail(curl, code, words))]
        return answers

    def _fail(self, curl: Any, code: int, words: str) -> HttpAnswer | None:
        """The answer to a failed request; None when it was certainly not processed and is simply sent again."""
        transfer = self._running[curl]
        is_kept, was_sent = not curl.getinfo(pycurl.NUM_CONNECTS), curl.getinfo(pycurl.REQUEST_SIZE) > 0
        is_unsent = is_kept and is_broken(code) and not was_sent
        if (is_unsent or is_refused(code, words)) and transfer.refusals < MAX_REFUSALS:
            assert transfer.request is not None and transfer.origin is not None
            transfer.origin.waiting.appendleft((transfer.request, transfer.refusals + 1))
            self._waiting += 1
            self._free(transfer)
            return None
        return self._finish(curl, code, words)

    def _finish(self, curl: Any, code: int, words: str) -> HttpAnswer:
        transfer = self._running[curl]
        assert transfer.request is not None and transfer.origin is not None
        answer = _answer(transfer, transfer.request.key, code, words)
        if not answer.failure:
            transfer.origin.window = self._full_window()
        self._free(transfer)
        return answer

    def _free(self, transfer: _Transfer) -> None:
        """Give the transfer's place to the next requests of its origin."""
        origin = transfer.origin
        assert origin is not None
        del self._running[transfer.curl]
        self._multi.remove_handle(transfer.curl)
        transfer.unload()
        self._idle.append(transfer)
        origin.active -= 1
        while origin.waiting and origin.active < origin.window:
            self._waiting -= 1
            request, refusals = origin.waiting.popleft()
            self._start(request, origin, refusals)


def _new_handle(rules: TransportRules) -> Any:
    """A libcurl handle with everything set that no request changes."""
    curl = pycurl.Curl()
    options = {
        pycurl.POST: 1,
        pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_2TLS,
        pycurl.PIPEWAIT: 1,
        pycurl.PROTOCOLS: pycurl.PROTO_HTTPS,
        pycurl.FOLLOWLOCATION: 0,
        pycurl.PROXY: "",
        pycurl.NOPROXY: "*",
        pycurl.NOSIGNAL: 1,
        pycurl.PATH_AS_IS: 1,
        pycurl.SSLVERSION: pycurl.SSLVERSION_TLSv1_2,
        pycurl.SSL_VERIFYPEER: 1,
        pycurl.SSL_VERIFYHOST: 2,
        pycurl.TIMEOUT_MS: int(rules.deadline_s * 1000),
        pycurl.CONNECTTIMEOUT_MS: int(rules.connect_timeout_s * 1000),
        pycurl.DNS_CACHE_TIMEOUT: 0,
        pycurl.MAXAGE_CONN: rules.reused_within_s,
        pycurl.TCP_KEEPALIVE: 1,
        pycurl.USERAGENT: USER_AGENT,
    }
    for option, setting in options.items():
        curl.setopt(option, setting)
    if rules.ca_file:
        curl.setopt(pycurl.CAINFO, rules.ca_file)
    return curl


def _answer(transfer: _Transfer, key: int, code: int, words: str) -> HttpAnswer:
    curl = transfer.curl
    status = curl.getinfo(pycurl.RESPONSE_CODE)
    elapsed_s = curl.getinfo(pycurl.TOTAL_TIME)
    if code == 0 or status >= 200:
        # Broken off after the status came: the verdict is in, what is missing is part of its explanation.
        return HttpAnswer(key, status, _headers(transfer.header_lines), b"".join(transfer.body), elapsed_s=elapsed_s)
    was_sent = curl.getinfo(pycurl.REQUEST_SIZE) > 0
    failure = classify_failure(code, words, was_sent=was_sent, forbidden=transfer.forbidden)
    return HttpAnswer(key, failure=failure, detail=words or f"libcurl error {code}", elapsed_s=elapsed_s)


def _headers(lines: list[bytes]) -> dict[str, str]:
    """The last block of header lines (earlier ones are interim answers), names in lower case.

    HTTP/1.1's reason phrase, where WNS writes "Domain Blocked", stands under ":reason".
    """
    headers: dict[str, str] = {}
    for line in b"".join(lines).decode("latin-1").split("\r\n"):
        if line.startswith("HTTP/"):
            headers = {":reason": line.partition(" ")[2][3:].strip()}
            continue
        name, colon, content = line.partition(":")
        if colon:
            headers[name.lower()] = content.strip()
    return headers
