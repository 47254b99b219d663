"""One HTTP/2 connection (RFC 9113): many requests at once. nghttp2 (package `ngh2`) speaks the protocol."""

from __future__ import annotations

import time
from contextlib import suppress

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

from messaging.providers.base import HttpRequest, TransportFailure
from messaging.providers.http_connection import Exchange, HttpConnection, Phase, field_of
from messaging.providers.tls_stream import TlsStream
from messaging.providers.transport_rules import IDLE_CONNECTION_S, USER_AGENT, TransportRules

_UNLIMITED = 2**31
#: A header tuple serves a whole batch; that many are kept in their encoded form.
_KNOWN_HEADERS = 64


class Http2Connection(HttpConnection):
    """Carries as many requests as the server's SETTINGS allow."""

    reused_within_s = IDLE_CONNECTION_S

    def __init__(self, stream: TlsStream, origin: str, rules: TransportRules) -> None:
        super().__init__(stream, rules, Phase.GREETING)
        self.most_connections = rules.max_connections
        self._h2 = ngh2.Connection(ngh2.Role.CLIENT)
        self._h2.initiate_connection({ngh2.Setting.ENABLE_PUSH: 0})
        self._origin_length = len(origin)
        authority = origin.removeprefix("https://").encode()
        self._pseudo = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", authority)]
        self._encoded: dict[tuple[str, ...], list[tuple[bytes, bytes]]] = {}
        self._server_limit = _UNLIMITED
        self._is_warm = not rules.warm_up
        # The server's SETTINGS may have come together with the end of the handshake.
        self._take_in(*stream.read())
        self.flush()

    @property
    def is_opening(self) -> bool:
        """Whether it is not yet known what this connection can carry."""
        return super().is_opening or (self.phase is Phase.OPEN and not self._is_warm)

    def _limit(self) -> int:
        return min(self._server_limit, self._rules.streams_per_connection if self._is_warm else 1)

    def _begin(self, request: HttpRequest) -> int | None:
        try:
            stream_id = self._h2.send_request(self._fields(request))
            self._h2.send_data(stream_id, request.body, end_stream=True)
        except ngh2.NGH2Error as error:
            # Stream numbers run out after 2^30 requests.
            self._leave(str(error))
            return None
        return stream_id

    def _fields(self, request: HttpRequest) -> list[ngh2.Header]:
        """The request's header fields; what all requests share is encoded once and then one byte each on the wire."""
        shared = self._encoded.get(request.headers)
        if shared is None:
            if len(self._encoded) >= _KNOWN_HEADERS:
                self._encoded.clear()
            shared = [field_of(line) for line in (*request.headers, f"user-agent: {USER_AGENT}")]
            self._encoded[request.headers] = shared
        path = request.url[self._origin_length :].encode() or b"/"
        fields: list[ngh2.Header] = [*self._pseudo, (b":path", path), *shared]
        fields.append((b"content-length", b"%d" % len(request.body)))
        # In the table it would push out what is shared.
        fields += [ngh2.NeverIndexedHeader(*field_of(line)) for line in request.own_headers]
        return fields

    def _forsake(self, exchange: Exchange) -> None:
        # nghttp2 refuses once the connection failed, which ends the stream as well.
        with suppress(ngh2.NGH2Error):
            self._h2.reset_stream(exchange.stream_id, ngh2.ErrorCode.CANCEL)
        if exchange.status >= 200:
            self._is_warm = True
        elif self._stream.heard_at < exchange.begun and not self.is_silent:
            # Perhaps only this answer is late, perhaps the other end is gone without a word: a PING tells.
            self._doubted_at = time.monotonic()
            with suppress(ngh2.NGH2Error):
                self._h2.ping()

    def _take_in(self, plain: bytes, trouble: str) -> None:
        try:
            if plain:
                self._h2.receive_data(plain)
        except ngh2.NGH2Error as error:
            trouble = str(error)
        self._judge(self._h2.events())
        if trouble:
            self.lose(trouble)

    def _outgoing(self) -> bytes:
        try:
            plain = self._h2.data_to_send()
        except ngh2.NGH2Error as error:
            self.lose(str(error))
            return b""
        if events := self._h2.events():
            self._judge(events)
        return plain

    def _judge(self, events: list[Event]) -> None:
        exchanges = self._exchanges
        for event in events:
            if isinstance(event, ResponseReceived):
                if exchange := exchanges.get(event.stream_id):
                    exchange.headers = event.headers
                    exchange.status = int(event.headers[0][1])
            elif isinstance(event, StreamClosed):
                if exchange := exchanges.pop(event.stream_id, None):
                    self._close_stream(exchange, event)
            elif isinstance(event, DataReceived):
                if exchange := exchanges.get(event.stream_id):
                    self._add_to_body(exchange, event.data)
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

    def _heed(self, event: Event) -> None:
        if isinstance(event, SettingsReceived):
            self._server_limit = event.settings.get(ngh2.Setting.MAX_CONCURRENT_STREAMS, self._server_limit)
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
