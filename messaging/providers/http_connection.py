"""What connections of HTTP/1.1 and HTTP/2 have in common: requests on their way, and what became of each."""

from __future__ import annotations

import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from enum import Enum

from messaging.providers.base import HttpAnswer, HttpRequest, TransportFailure
from messaging.providers.tls_stream import TlsStream
from messaging.providers.transport_rules import BODY_LIMIT, TransportRules

Fields = tuple[tuple[bytes, bytes], ...]


class _Headers(Mapping[str, str]):
    """An answer's header fields, decoded when asked for: of an accepted push at most one ever is."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        wanted = name.encode()
        for known, text in reversed(self._fields):
            if known == wanted and name != ":status":
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
        self.connection: HttpConnection | None = None
        self.stream_id = 0
        self.begun = 0.0  #: when it was put on its stream
        self.refusals = 0
        self.status = 0
        self.headers: Fields = ()
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

    GREETING = "greeting"  #: waits for the server's SETTINGS: nothing is sent before its limits are known
    OPEN = "open"
    LEAVING = "leaving"  #: what it will still answer is awaited, nothing new is sent
    CLOSED = "closed"


class HttpConnection(ABC):
    """A client's side of one connection. The owner watches `fd`, calls `receive` and `flush`, reads `ended`."""

    most_connections: int  #: that a host like this one gets
    reused_within_s: float  #: after which a connection that was idle is not used again

    def __init__(self, stream: TlsStream, rules: TransportRules, phase: Phase) -> None:
        self.fd = stream.fd
        self.phase = phase
        self.ended: list[Exchange] = []  #: answered or failed; the owner empties both lists
        self.refused: list[Exchange] = []  #: not processed by the server, or never written: may be sent again
        self.detail = ""
        self._stream, self._rules = stream, rules
        self._doubted_at = 0.0
        self._exchanges: dict[int, Exchange] = {}  #: on their way, by the number of their stream
        self._last_stream = self._last_written = 0

    @property
    def is_opening(self) -> bool:
        """Whether it is not yet known what this connection can carry."""
        return self.phase is Phase.GREETING

    @property
    def is_usable(self) -> bool:
        """Whether it is there to carry requests, now or soon."""
        return self.phase in (Phase.GREETING, Phase.OPEN) and not self.is_silent

    @property
    def is_closed(self) -> bool:
        """Whether it is over."""
        return self.phase is Phase.CLOSED

    @property
    def is_silent(self) -> bool:
        """Whether a request timed out and not a byte came since it left."""
        return self._doubted_at > self._stream.heard_at

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self._exchanges

    @property
    def was_used(self) -> bool:
        """Whether it ever carried a request."""
        return self._last_stream > 0

    @property
    def mask(self) -> int:
        """What to watch `fd` for."""
        return self._stream.mask

    @property
    def age_s(self) -> float:
        """Seconds since the host was reached."""
        return time.monotonic() - self._stream.made_at

    @property
    def idle_s(self) -> float:
        """Seconds since the last byte came."""
        return time.monotonic() - self._stream.heard_at

    def room(self) -> int:
        """How many requests may be started now."""
        if self.phase is not Phase.OPEN or self.is_silent or self._stream.is_full:
            return 0
        return self._limit() - len(self._exchanges)

    def start(self, exchange: Exchange) -> None:
        """Put a request on a stream of its own; `flush` sends it."""
        stream_id = self._begin(exchange.request)
        if stream_id is None:
            self._refuse(exchange)
            return
        exchange.connection, exchange.stream_id, exchange.begun = self, stream_id, time.monotonic()
        self._last_stream = stream_id
        self._exchanges[stream_id] = exchange

    def cancel(self, exchange: Exchange, detail: str) -> None:
        """End one request without an answer; the others go on."""
        del self._exchanges[exchange.stream_id]
        exchange.fail(self._failure_of(exchange), detail)
        self.ended.append(exchange)
        self._forsake(exchange)

    def receive(self) -> None:
        """Take in what has arrived."""
        if not self.is_closed:
            lost = self._stream.arrive()
            plain, ended = self._stream.read()
            self._take_in(plain, lost or ended)

    def flush(self) -> None:
        """Write what waits to be written, as far as the socket takes it."""
        try:
            if self._stream.is_full:
                self._stream.flush()
            if self._stream.is_full or self.is_closed:
                return
            plain = self._outgoing()
            if self.is_closed:
                return  # the requests in it may leave on another connection
            self._stream.write(plain)
            self._last_written = self._last_stream
            self._stream.flush()
        except ssl.SSLError as error:
            self.lose(str(error))
        except OSError as error:
            # What the server said before it left may tell which requests it has not processed.
            self.receive()
            self.lose(str(error))

    def lose(self, detail: str) -> None:
        """The connection is over; every request on it ends."""
        if self.is_closed:
            return
        self.phase = Phase.CLOSED
        self.detail = f"{detail} ({self.detail})" if self.detail else detail
        for exchange in self._exchanges.values():
            if exchange.status < 200 and self._failure_of(exchange) is TransportFailure.NOT_SENT:
                self._refuse(exchange)
            else:
                exchange.fail(TransportFailure.IN_DOUBT, self.detail)
                self.ended.append(exchange)
        self._exchanges.clear()

    def close(self) -> None:
        """Give the socket back; requests in flight get no answer."""
        self.phase = Phase.CLOSED
        self._stream.close()

    @abstractmethod
    def _limit(self) -> int:
        """How many requests may be on their way at once."""

    @abstractmethod
    def _begin(self, request: HttpRequest) -> int | None:
        """The number of the request's stream; None where the connection takes no more."""

    @abstractmethod
    def _forsake(self, exchange: Exchange) -> None:
        """Nobody waits for the rest of this answer any more."""

    @abstractmethod
    def _take_in(self, plain: bytes, trouble: str) -> None:
        """What has arrived, and what ended the stream ("" while it goes on)."""

    @abstractmethod
    def _outgoing(self) -> bytes:
        """What is to be sent."""

    def _add_to_body(self, exchange: Exchange, octets: bytes) -> None:
        exchange.body += octets
        if len(exchange.body) > BODY_LIMIT:
            # The verdict stands in the status and the first bytes.
            exchange.body = exchange.body[:BODY_LIMIT]
            del self._exchanges[exchange.stream_id]
            self.ended.append(exchange)
            self._forsake(exchange)

    def _refuse(self, exchange: Exchange) -> None:
        exchange.refusals += 1
        exchange.connection = None
        self.refused.append(exchange)

    def _failure_of(self, exchange: Exchange) -> TransportFailure:
        """Whether the request may have been processed."""
        was_written = exchange.stream_id <= self._last_written
        return TransportFailure.IN_DOUBT if was_written else TransportFailure.NOT_SENT


def field_of(line: str) -> tuple[bytes, bytes]:
    """A header line's name and text."""
    name, _, text = line.partition(": ")
    return name.lower().encode(), text.encode()
