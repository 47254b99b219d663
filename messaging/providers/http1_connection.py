"""One HTTP/1.1 connection (RFC 9112): one request at a time, for servers that speak nothing newer. h11 is the codec."""

from __future__ import annotations

import h11

from messaging.providers.base import HttpRequest
from messaging.providers.http_connection import Exchange, HttpConnection, Phase, field_of
from messaging.providers.tls_stream import TlsStream
from messaging.providers.transport_rules import HTTP1_CONNECTIONS, HTTP1_IDLE_S, USER_AGENT, TransportRules


class Http1Connection(HttpConnection):
    """Never pipelines: a server that leaves would put every request behind the first in doubt."""

    reused_within_s = HTTP1_IDLE_S
    most_connections = HTTP1_CONNECTIONS

    def __init__(self, stream: TlsStream, origin: str, rules: TransportRules) -> None:
        super().__init__(stream, rules, Phase.OPEN)
        self._h1 = h11.Connection(h11.CLIENT)
        self._origin_length = len(origin)
        self._host = origin.removeprefix("https://").encode()
        self._waiting = b""

    def _limit(self) -> int:
        return 1

    def _begin(self, request: HttpRequest) -> int | None:
        lines = (*request.headers, *request.own_headers, f"user-agent: {USER_AGENT}")
        fields = [(b"host", self._host), *map(field_of, lines), (b"content-length", b"%d" % len(request.body))]
        target = request.url[self._origin_length :] or "/"
        try:
            head = self._h1.send(h11.Request(method=b"POST", target=target, headers=fields))
            body = self._h1.send(h11.Data(data=request.body))
            self._h1.send(h11.EndOfMessage())
        except h11.LocalProtocolError as error:
            self.lose(str(error))
            return None
        self._waiting = (head or b"") + (body or b"")
        return self._last_stream + 1

    def _forsake(self, exchange: Exchange) -> None:
        self.lose(f"request {exchange.stream_id} was given up")

    def _take_in(self, plain: bytes, trouble: str) -> None:
        if plain and self.is_idle:
            trouble = trouble or "the server spoke without being asked"  # 408, say, before it closes
        try:
            if plain:
                self._h1.receive_data(plain)
            if trouble:
                self._h1.receive_data(b"")  # ends a body whose length was not told
            self._judge()
        except h11.RemoteProtocolError as error:
            trouble = trouble or str(error)
        if trouble:
            self.lose(trouble)

    def _outgoing(self) -> bytes:
        plain, self._waiting = self._waiting, b""
        return plain

    def _judge(self) -> None:
        while exchange := self._exchanges.get(self._last_stream):
            event = self._h1.next_event()
            if isinstance(event, h11.Response):
                status = b"%d" % event.status_code
                exchange.headers = ((b":status", status), (b":reason", event.reason), *event.headers)
                exchange.status = event.status_code
            elif isinstance(event, h11.Data):
                self._add_to_body(exchange, bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self._end(exchange)
            elif not isinstance(event, h11.InformationalResponse):
                return

    def _end(self, exchange: Exchange) -> None:
        del self._exchanges[exchange.stream_id]
        self.ended.append(exchange)
        if self._h1.our_state is h11.DONE and self._h1.their_state is h11.DONE and not self._h1.trailing_data[0]:
            self._h1.start_next_cycle()
        else:
            self.lose("the server keeps the connection for no further request")
