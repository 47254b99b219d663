"""Move HTTPS requests over a few long-lived connections, HTTP/2 where the server speaks it; knows nothing of push.

Devices name some of the hosts: every address is judged before it is connected to, and nothing an answer says
(redirects, cookies, alternative services) leads anywhere.
"""

from __future__ import annotations

import select
import ssl
import time
from collections import deque
from math import inf
from urllib.parse import urlsplit
from weakref import finalize

from messaging.providers.base import HttpAnswer, HttpRequest, TransportFailure
from messaging.providers.dial import HTTP2, Dial, DialFailed, new_context
from messaging.providers.http1_connection import Http1Connection
from messaging.providers.http2_connection import Http2Connection
from messaging.providers.http_connection import Exchange, HttpConnection, Phase
from messaging.providers.tls_stream import TlsStream
from messaging.providers.transport_rules import MAX_REFUSALS, TransportRules

#: While one connection works, a further one that could not be opened is not tried again sooner.
_REDIAL_AFTER_S = 5.0
_HTTPS_PORT = 443
#: Devices may name any host below an allowed suffix: of those that nothing is on its way to, so many are remembered.
MAX_ORIGINS = 64


class _Origin:
    """Requests to one host and port, and the connections they go over."""

    def __init__(self, name: str, address: tuple[str, int]) -> None:
        self.name, self.address = name, address
        self.waiting: deque[Exchange] = deque()
        self.connections: list[HttpConnection] = []
        self.dial: Dial | None = None
        self.ready_by = inf  #: when a connection that is being opened has taken too long
        self.no_dial_before = 0.0

    @property
    def wake_at(self) -> float:
        """When a connection that is being opened needs attention."""
        return self.dial.wake_at if self.dial else self.ready_by

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way, nor a connection."""
        return not self.waiting and self.dial is None and all(connection.is_idle for connection in self.connections)

    @property
    def idle_s(self) -> float:
        """Seconds since anything came from there."""
        return min((connection.idle_s for connection in self.connections), default=inf)

    def next_waiting(self) -> Exchange | None:
        """The next request to start."""
        while self.waiting:
            exchange = self.waiting.popleft()
            if exchange.failure is None:
                return exchange
        return None

    def most_connections(self, rules: TransportRules) -> int:
        """How many connections may take requests."""
        return max((connection.most_connections for connection in self.connections), default=rules.max_connections)

    def is_full(self, rules: TransportRules) -> bool:
        """Whether a further connection has to wait until one of those that no longer take requests is gone."""
        return len(self.connections) >= 2 * self.most_connections(rules)

    def is_dial_due(self, rules: TransportRules, now: float) -> bool:
        """Whether what waits needs a connection more than there are or soon will be."""
        usable = [connection for connection in self.connections if connection.is_usable]
        return (
            self.dial is None
            and (now >= self.no_dial_before or not usable)
            and len(usable) < self.most_connections(rules)
            and not self.is_full(rules)
            and not any(connection.is_opening for connection in usable)
        )


class HttpTransport:
    """`base.Transport` with its own epoll."""

    def __init__(self, rules: TransportRules) -> None:
        self._rules = rules
        self._origins: dict[str, _Origin] = {}
        self._open: dict[Exchange, _Origin] = {}  # in the order of their deadlines
        self._answers: list[HttpAnswer] = []
        self._parties: dict[int, tuple[_Origin, HttpConnection | Dial, int]] = {}  # by descriptor, with its mask
        self._epoll = select.epoll()
        self._tls: ssl.SSLContext | None = None
        self._expire_at = inf  # no deadline is earlier
        # A process that ends, or forgets a transport, leaves no sockets open.
        self._closer = finalize(self, _close, self._parties, self._epoll)

    @property
    def in_flight(self) -> int:
        """Requests submitted whose answers `poll` has not yet returned."""
        return len(self._open) + len(self._answers)

    def submit(self, request: HttpRequest) -> None:
        """Take a request; it leaves with the next `poll`, together with all others."""
        end = request.url.find("/", 8)
        name = request.url if end < 0 else request.url[:end]
        origin = self._origins.get(name) or self._new_origin(name)
        if origin is None:
            refusal = HttpAnswer(request.key, failure=TransportFailure.NOT_SENT, detail="not an https URL")
            self._answers.append(refusal)
            return
        exchange = Exchange(request, time.monotonic())
        if not self._open:
            self._expire_at = exchange.started + self._rules.deadline_s
            self._forget_late_dials(exchange.started)
        self._open[exchange] = origin
        origin.waiting.append(exchange)

    def poll(self, timeout_s: float) -> list[HttpAnswer]:
        """Answers that came in, waiting at most `timeout_s` seconds for the first."""
        give_up_at = time.monotonic() + timeout_s
        self._send()
        while self._open:
            self._turn(give_up_at)
            self._send()
            if self._answers or time.monotonic() >= give_up_at:
                break
        answers, self._answers = self._answers, []
        return answers

    def close(self) -> None:
        """Close every connection; requests in flight get no answer."""
        self._closer()
        self._origins.clear()
        self._open.clear()
        self._answers.clear()

    def _new_origin(self, name: str) -> _Origin | None:
        try:
            parts = urlsplit(name)
            host, port = parts.hostname, parts.port or _HTTPS_PORT
        except ValueError:
            return None
        if parts.scheme != "https" or not host or parts.username is not None:
            return None
        if len(self._origins) >= MAX_ORIGINS:
            self._forget_idle()
        self._origins[name] = _Origin(name, (host, port))
        return self._origins[name]

    def _forget_idle(self) -> None:
        """Close what was idle for longest: half of it, so that this is seldom done."""
        idle = [origin for origin in self._origins.values() if origin.is_idle]
        idle.sort(key=lambda origin: origin.idle_s, reverse=True)
        for origin in idle[: MAX_ORIGINS // 2]:
            for connection in list(origin.connections):
                connection.lose("other hosts were more in demand")
                self._settle(origin, connection)
            del self._origins[origin.name]

    def _forget_late_dials(self, now: float) -> None:
        """Nobody polled while nothing was on its way: that a dial took too long then says nothing about the host."""
        for origin in self._origins.values():
            if origin.dial is not None and now >= origin.ready_by:
                self._unwatch(origin.dial.fd)
                origin.dial.close()
                origin.dial, origin.ready_by = None, inf

    # sending

    def _send(self) -> None:
        """Start what there is room for, and write all of it at once."""
        for origin in self._origins.values():
            if origin.waiting:
                self._start_waiting(origin)
            for connection in list(origin.connections):
                connection.flush()
                self._settle(origin, connection)

    def _start_waiting(self, origin: _Origin) -> None:
        for connection in list(origin.connections):
            if connection.is_idle:
                self._freshen(origin, connection)
            for _ in range(connection.room()):
                exchange = origin.next_waiting()
                if exchange is None:
                    return
                connection.start(exchange)
        if origin.waiting and origin.is_dial_due(self._rules, time.monotonic()):
            self._dial(origin)

    def _freshen(self, origin: _Origin, connection: HttpConnection) -> None:
        """See whether the server closed the connection while nobody looked: what is written then would be in doubt."""
        connection.receive()
        if connection.idle_s > connection.reused_within_s:
            connection.lose("idle for too long")
        elif connection.is_silent and origin.is_full(self._rules):
            # A balancer keeps it open though nobody is behind it: no probe of TCP would ever end it.
            connection.lose("not even a PING was answered")
        self._settle(origin, connection)

    # connections

    def _dial(self, origin: _Origin) -> None:
        try:
            self._tls = self._tls or new_context(self._rules)
        except OSError as error:
            self._dial_failed(origin, TransportFailure.TLS, f"the CA file cannot be used: {error}")
            return
        origin.ready_by = time.monotonic() + self._rules.connect_timeout_s
        origin.dial = Dial(origin.address, self._rules, self._tls, origin.ready_by)
        self._watch(origin, origin.dial)

    def _advance(self, origin: _Origin, dial: Dial, *, is_ready: bool) -> None:
        self._unwatch(dial.fd)
        try:
            stream = dial.advance(is_ready=is_ready)
        except DialFailed as failed:
            dial.close()
            origin.dial = None
            self._dial_failed(origin, failed.failure, failed.detail)
            return
        if stream is None:
            self._watch(origin, dial)
            return
        origin.dial = None
        connection = self._connection(stream, origin)
        origin.connections.append(connection)
        self._settle(origin, connection)

    def _connection(self, stream: TlsStream, origin: _Origin) -> HttpConnection:
        kind = Http2Connection if stream.protocol == HTTP2 else Http1Connection
        return kind(stream, origin.name, self._rules)

    def _dial_failed(self, origin: _Origin, failure: TransportFailure, detail: str) -> None:
        origin.ready_by = inf
        if any(connection.is_usable for connection in origin.connections):
            origin.no_dial_before = time.monotonic() + _REDIAL_AFTER_S
            return
        while exchange := origin.next_waiting():
            exchange.fail(failure, detail)
            self._finish(exchange)

    def _settle(self, origin: _Origin, connection: HttpConnection) -> None:
        """Act upon what became of a connection and its requests."""
        if connection.ended:
            now = time.monotonic()
            for exchange in connection.ended:
                del self._open[exchange]
                self._answers.append(exchange.answer(now))
            connection.ended.clear()
        if connection.refused:
            for exchange in connection.refused:
                self._send_again(origin, exchange, connection.detail)
            connection.refused.clear()
        if connection.phase is Phase.LEAVING and connection.is_idle:
            connection.lose("nothing left to wait for")
        if connection.phase is Phase.CLOSED:
            self._drop(origin, connection)
        else:
            self._watch(origin, connection)

    def _send_again(self, origin: _Origin, exchange: Exchange, detail: str) -> None:
        if exchange.refusals > MAX_REFUSALS:
            exchange.fail(TransportFailure.NOT_SENT, detail or "the server refused the stream")
            self._finish(exchange)
        else:
            origin.waiting.appendleft(exchange)

    def _drop(self, origin: _Origin, connection: HttpConnection) -> None:
        if connection not in origin.connections:
            return
        self._unwatch(connection.fd)
        connection.close()
        origin.connections.remove(connection)
        # One that carried nothing would be dialled again and again in no time; a spare one was only closed while idle.
        if not connection.was_used and connection.age_s < self._rules.connect_timeout_s:
            self._dial_failed(origin, TransportFailure.NOT_SENT, connection.detail)

    # events

    def _turn(self, give_up_at: float) -> None:
        """Wait for sockets or the next deadline, whichever is first, and take in what came."""
        for fd, mask in self._epoll.poll(self._wait_s(give_up_at)):
            if fd not in self._parties:
                continue
            origin, party, _ = self._parties[fd]
            if isinstance(party, Dial):
                self._advance(origin, party, is_ready=True)
                continue
            if mask & ~select.EPOLLOUT:
                party.receive()
            self._settle(origin, party)
        now = time.monotonic()
        for origin in self._origins.values():
            if now >= origin.wake_at:
                self._hurry(origin)
        if now >= self._expire_at:
            self._expire(now)

    def _wait_s(self, give_up_at: float) -> float:
        if self._answers:
            return 0.0
        wake_at = min([give_up_at, self._expire_at, *(origin.wake_at for origin in self._origins.values())])
        return max(0.0, wake_at - time.monotonic())

    def _hurry(self, origin: _Origin) -> None:
        """A connection is not ready in time."""
        if origin.dial is not None:
            self._advance(origin, origin.dial, is_ready=False)
            return
        origin.ready_by = inf
        for connection in list(origin.connections):
            if connection.phase is Phase.GREETING:
                connection.lose(f"no HTTP/2 within {self._rules.connect_timeout_s:.0f} s")
                self._settle(origin, connection)

    def _expire(self, now: float) -> None:
        words = f"no answer within {self._rules.deadline_s:g} s"
        while self._open:
            exchange, origin = next(iter(self._open.items()))
            self._expire_at = exchange.started + self._rules.deadline_s
            if self._expire_at > now:
                return
            connection = exchange.connection
            if connection is None:
                exchange.fail(TransportFailure.NOT_SENT, f"no free connection within {self._rules.deadline_s:g} s")
                self._finish(exchange)
            else:
                connection.cancel(exchange, words)
                self._settle(origin, connection)
        self._expire_at = inf

    def _finish(self, exchange: Exchange) -> None:
        del self._open[exchange]
        self._answers.append(exchange.answer(time.monotonic()))

    def _watch(self, origin: _Origin, party: HttpConnection | Dial) -> None:
        known = self._parties.get(party.fd)
        if known is None:
            self._epoll.register(party.fd, party.mask)
        elif known[2] != party.mask:
            self._epoll.modify(party.fd, party.mask)
        else:
            return
        self._parties[party.fd] = (origin, party, party.mask)

    def _unwatch(self, fd: int) -> None:
        if self._parties.pop(fd, None):
            self._epoll.unregister(fd)


def _close(parties: dict[int, tuple[_Origin, HttpConnection | Dial, int]], epoll: select.epoll) -> None:
    for _, party, _ in parties.values():
        party.close()
    parties.clear()
    epoll.close()
