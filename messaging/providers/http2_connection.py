"""One HTTP/2 connection: TLS, streams, and what became of every request on it.

nghttp2 (package `ngh2`) speaks the protocol. TLS runs over memory buffers, so that one system call moves the records of
many answers: 0.012 CPU-s per 1,000 requests, where an `SSLSocket`, which reads each record twice, took 0.036.
"""

from __future__ import annotations

import select
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from socket import socket

import ngh2
from ngh2.events import (
    ConnectionClosed,
    DataReceived,
    Event,
    GoAwayReceived,
    ResponseReceived,
    SettingsReceived,
    StreamClosed,
)

from messaging.providers.base import HttpAnswer, HttpRequest, TransportFailure
from messaging.providers.transport_rules import BODY_LIMIT, TransportRules

ALPN = "h2"
_BUFFER_SIZE = 128 * 1024
_RECORD_SIZE = 16 * 1024
_UNLIMITED = 2**31


class _Headers(Mapping[str, str]):
    """An answer's header fields, decoded when asked for: of an accepted push at most one ever is."""

    __slots__ = ("_fields",)

    def __init__(self, fields: tuple[tuple[bytes, bytes], ...]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        wanted = name.encode()
        for known, text in reversed(self._fields):
            if known == wanted and not name.startswith(":"):
                return text.decode("latin-1")
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.decode("latin-1") for name, _ in self._fields if name != b":status"))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return repr(dict(self))


class Exchange:
    """One request on its way, and what has come back so far."""

    __slots__ = (
        "begun",
        "body",
        "connection",
        "detail",
        "failure",
        "headers",
        "refusals",
        "request",
        "started",
        "status",
        "stream_id",
    )

    def __init__(self, request: HttpRequest, started: float) -> None:
        self.request, self.started = request, started
        self.connection: Http2Connection | None = None
        self.stream_id = 0
        self.begun = 0.0  #: when it was put on its stream
        self.refusals = 0
        self.status = 0
        self.headers: tuple[tuple[bytes, bytes], ...] = ()
        self.body = b""
        self.failure: TransportFailure | None = None
        self.detail = ""

    def fail(self, failure: TransportFailure, detail: str) -> None:
        """No (more) answer will come. A verdict that is in stays: only part of its explanation is missing."""
        if self.status < 200:
            self.failure, self.detail = failure, detail

    def answer(self, now: float) -> HttpAnswer:
        """What the caller gets."""
        key, elapsed_s = self.request.key, now - self.started
        if self.failure is not None:
            return HttpAnswer(key, failure=self.failure, detail=self.detail, elapsed_s=elapsed_s)
        return HttpAnswer(key, self.status, _Headers(self.headers), self.body, elapsed_s=elapsed_s)


class Phase(Enum):
    """How far a connection has come."""

    SECURING = "securing"  #: TLS handshake
    GREETING = "greeting"  #: waits for the server's SETTINGS: nothing is sent before its limits are known
    OPEN = "open"
    LEAVING = "leaving"  #: GOAWAY came: what it will still answer is awaited, nothing new is sent
    CLOSED = "closed"


class Http2Connection:
    """A client's side of one connection. The owner watches `fd`, calls `receive` and `flush`, reads `ended`."""

    def __init__(self, connected: socket, context: ssl.SSLContext, host: str, rules: TransportRules) -> None:
        self.fd = connected.fileno()
        self.phase = Phase.SECURING
        self.ended: list[Exchange] = []  #: answered or failed; the owner empties both lists
        self.refused: list[Exchange] = []  #: not processed by the server, or never written: may be sent again
        self.failure = TransportFailure.NOT_SENT  #: why a connection never opened
        self.detail = ""
        self.is_silent = False  #: a request timed out and not a byte came meanwhile
        self._socket, self._rules = connected, rules
        self._from_net, self._to_net = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._from_net, self._to_net, server_hostname=host)
        self._h2 = ngh2.Connection(ngh2.Role.CLIENT)
        self._streams: dict[int, Exchange] = {}
        self._limit = _UNLIMITED
        self._is_warm = not rules.warm_up
        self._last_stream = self._last_written = 0
        self._unsent = b""
        self._made_at = self._heard_at = time.monotonic()
        self._buffer = memoryview(bytearray(_BUFFER_SIZE))
        self._secure()
        self.flush()

    @property
    def is_opening(self) -> bool:
        """Whether it is not yet known what this connection can carry."""
        return self.phase in (Phase.SECURING, Phase.GREETING) or (self.phase is Phase.OPEN and not self._is_warm)

    @property
    def is_usable(self) -> bool:
        """Whether it is there to carry requests, now or soon."""
        return self.phase in (Phase.SECURING, Phase.GREETING, Phase.OPEN) and not self.is_silent

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self._streams

    @property
    def was_used(self) -> bool:
        """Whether it ever carried a request."""
        return self._last_stream > 0

    @property
    def mask(self) -> int:
        """What to watch `fd` for."""
        return select.EPOLLIN | select.EPOLLOUT if self._unsent else select.EPOLLIN

    @property
    def age_s(self) -> float:
        """Seconds since the host was reached."""
        return time.monotonic() - self._made_at

    @property
    def idle_s(self) -> float:
        """Seconds since the last byte came."""
        return time.monotonic() - self._heard_at

    def room(self) -> int:
        """How many requests may be started now."""
        if self.phase is not Phase.OPEN or self.is_silent or self._unsent:
            return 0
        limit = min(self._limit, self._rules.streams_per_connection) if self._is_warm else min(self._limit, 1)
        return limit - len(self._streams)

    def start(self, exchange: Exchange, fields: Sequence[ngh2.Header]) -> None:
        """Put a request on a stream of its own; `flush` sends it."""
        try:
            stream_id = self._h2.send_request(fields)
            self._h2.send_data(stream_id, exchange.request.body, end_stream=True)
        except ngh2.NGH2Error as error:
            # Stream numbers run out after 2^30 requests.
            self._leave(str(error))
            self.refused.append(exchange)
            return
        exchange.connection, exchange.stream_id, exchange.begun = self, stream_id, time.monotonic()
        self._last_stream = stream_id
        self._streams[stream_id] = exchange

    def cancel(self, exchange: Exchange, detail: str) -> None:
        """End one request without an answer; the others go on."""
        del self._streams[exchange.stream_id]
        exchange.fail(self._failure_of(exchange), detail)
        self.ended.append(exchange)
        self._reset(exchange)
        if self._heard_at < exchange.begun and not self.is_silent:
            # Perhaps only this answer is late, perhaps the other end is gone without a word: a PING tells.
            self.is_silent = True
            with suppress(ngh2.NGH2Error):
                self._h2.ping()

    def receive(self) -> None:
        """Take in all that has arrived."""
        while self.phase is not Phase.CLOSED:
            try:
                count = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                return
            except OSError as error:
                self.lose(str(error))
                return
            if not count:
                self.lose("the server closed the connection")
                return
            self._heard_at, self.is_silent = time.monotonic(), False
            self._from_net.write(self._buffer[:count])
            self._take_in()
            if count < _BUFFER_SIZE:
                return

    def flush(self) -> None:
        """Write what waits to be written, as far as the socket takes it."""
        if self._unsent:
            self._write()
        if self._unsent or self.phase is Phase.CLOSED:
            return
        if self.phase is not Phase.SECURING:
            self._frame()
        self._write()

    def lose(self, detail: str, failure: TransportFailure = TransportFailure.NOT_SENT) -> None:
        """The connection is over; every request on it ends."""
        if self.phase is Phase.CLOSED:
            return
        if self.phase in (Phase.SECURING, Phase.GREETING):
            self.failure = failure
        self.phase = Phase.CLOSED
        self.detail = f"{detail} ({self.detail})" if self.detail else detail
        for exchange in self._streams.values():
            if exchange.status < 200 and self._failure_of(exchange) is TransportFailure.NOT_SENT:
                self._refuse(exchange)
            else:
                exchange.fail(TransportFailure.IN_DOUBT, self.detail)
                self.ended.append(exchange)
        self._streams.clear()

    def close(self) -> None:
        """Give the socket back; requests in flight get no answer."""
        self.phase = Phase.CLOSED
        self._socket.close()

    # TLS

    def _secure(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            self._write()  # the alert that tells the server what is wrong
            self.lose(str(error), TransportFailure.TLS)
            return
        if self._tls.selected_alpn_protocol() != ALPN:
            self.lose("the server does not speak HTTP/2", TransportFailure.TLS)
            return
        self._h2.initiate_connection({ngh2.Setting.ENABLE_PUSH: 0})
        self.phase = Phase.GREETING

    def _take_in(self) -> None:
        if self.phase is Phase.SECURING:
            self._secure()
        if self.phase in (Phase.SECURING, Phase.CLOSED):
            return
        trouble = ""
        try:
            while plain := self._tls.read(_RECORD_SIZE):
                self._h2.receive_data(plain)
            trouble = "the server closed the connection"
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLError, ngh2.NGH2Error) as error:
            trouble = str(error)
        self._judge(self._h2.events())
        if trouble:
            self.lose(trouble)

    def _frame(self) -> None:
        try:
            plain = memoryview(self._h2.data_to_send())
            while plain:
                plain = plain[self._tls.write(plain) :]
        except (ssl.SSLError, ngh2.NGH2Error) as error:
            self.lose(str(error))
            return
        self._last_written = self._last_stream
        if events := self._h2.events():
            self._judge(events)

    def _write(self) -> None:
        if self._to_net.pending:
            self._unsent += self._to_net.read()
        if not self._unsent:
            return
        try:
            count = self._socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError as error:
            # What the server said before it left may tell which requests it has not processed.
            self.receive()
            self.lose(str(error))
            self._unsent = b""
            return
        self._unsent = self._unsent[count:]

    # HTTP/2

    def _judge(self, events: list[Event]) -> None:
        streams = self._streams
        for event in events:
            if isinstance(event, ResponseReceived):
                if exchange := streams.get(event.stream_id):
                    exchange.headers = event.headers
                    exchange.status = int(event.headers[0][1])
            elif isinstance(event, StreamClosed):
                if exchange := streams.pop(event.stream_id, None):
                    self._close_stream(exchange, event)
            elif isinstance(event, DataReceived):
                if exchange := streams.get(event.stream_id):
                    exchange.body += event.data
                    if len(exchange.body) > BODY_LIMIT:
                        self._cut(exchange)
            else:
                self._heed(event)

    def _close_stream(self, exchange: Exchange, event: StreamClosed) -> None:
        if exchange.status >= 200:
            # Whatever else was wrong: a server may reset a stream whose request it does not care to read to its end.
            self._is_warm = True
            self.ended.append(exchange)
        elif (
            event.error_code == ngh2.ErrorCode.REFUSED_STREAM
            or event.local_error is not None
            or self._failure_of(exchange) is TransportFailure.NOT_SENT
        ):
            self._refuse(exchange)
            # Another connection may be treated better, and starts with limits that both sides know.
            self._leave("the server refused a stream")
        else:
            exchange.fail(TransportFailure.IN_DOUBT, f"the server reset the stream with error {event.error_code}")
            self.ended.append(exchange)

    def _cut(self, exchange: Exchange) -> None:
        """The verdict stands in the status and the first bytes."""
        exchange.body = exchange.body[:BODY_LIMIT]
        del self._streams[exchange.stream_id]
        self._reset(exchange)
        self._is_warm = True
        self.ended.append(exchange)

    def _reset(self, exchange: Exchange) -> None:
        # nghttp2 refuses once the connection failed, which ends the stream as well.
        with suppress(ngh2.NGH2Error):
            self._h2.reset_stream(exchange.stream_id, ngh2.ErrorCode.CANCEL)

    def _heed(self, event: Event) -> None:
        if isinstance(event, SettingsReceived):
            self._limit = event.settings.get(ngh2.Setting.MAX_CONCURRENT_STREAMS, self._limit)
            if self.phase is Phase.GREETING:
                self.phase = Phase.OPEN
        elif isinstance(event, GoAwayReceived):
            reason = event.debug_data[:100].decode("latin-1")
            self._leave(f"GOAWAY with error {event.error_code} {reason}".strip())
        elif isinstance(event, ConnectionClosed):
            self.lose("the HTTP/2 connection ended")

    def _leave(self, detail: str) -> None:
        self.detail = self.detail or detail
        if self.phase is Phase.GREETING:
            self.lose("the server wants no requests")
        elif self.phase is Phase.OPEN:
            self.phase = Phase.LEAVING

    def _refuse(self, exchange: Exchange) -> None:
        exchange.refusals += 1
        exchange.connection = None
        self.refused.append(exchange)

    def _failure_of(self, exchange: Exchange) -> TransportFailure:
        """Whether the request may have been processed."""
        was_written = exchange.stream_id <= self._last_written
        return TransportFailure.IN_DOUBT if was_written else TransportFailure.NOT_SENT
