"""HTTP/1.1, server side: kept-alive connections, one request at a time."""

from __future__ import annotations

import asyncio

import h11

from messaging.simulators.exchange import MAX_BODY, Answer, ConnectionRules, Ending, Request, Responder
from messaging.simulators.http_headers import headers_of, repeated_names


class Http1Connection:
    """One HTTP/1.1 connection of a port."""

    def __init__(self, transport: asyncio.Transport, responder: Responder, number: int) -> None:
        self._transport = transport
        self._responder = responder
        self._number = number
        self._rules = responder.rules
        self._h11 = h11.Connection(h11.SERVER)
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._requests = 0

    def receive(self, data: bytes) -> None:
        """Take bytes from the client."""
        self._h11.receive_data(data)
        self._advance()

    def apply(self, rules: ConnectionRules) -> None:
        """Follow new rules."""
        self._rules = rules

    def abort(self) -> None:
        """Cut the connection without a word."""
        self._transport.abort()

    def _advance(self) -> None:
        try:
            while not self._transport.is_closing() and self._step(self._h11.next_event()):
                self._continue_if_awaited()
        except h11.RemoteProtocolError as err:
            self._refuse_malformed(err)

    def _step(self, event: object) -> bool:
        """Follow one event; False when there is nothing more to read for now."""
        if isinstance(event, h11.Request):
            self._head, self._body = event, bytearray()
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > MAX_BODY:
                self._responder.handle(self._request(), self._reply)
                self._transport.close()
        elif isinstance(event, h11.EndOfMessage):
            self._responder.handle(self._request(), self._reply)
        elif isinstance(event, h11.ConnectionClosed):
            self._transport.close()
        else:
            return False
        return True

    def _request(self) -> Request:
        if self._head is None:
            raise RuntimeError("h11 ended a message it had not begun")
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._head.headers]
        headers = dict(pairs)
        return Request(
            method=self._head.method.decode(),
            path=self._head.target.decode("latin-1"),
            headers=headers,
            body=bytes(self._body),
            connection=self._number,
            authority=headers.get("host", ""),
            http_version="1.1",
            repeated=repeated_names(pairs),
        )

    def _reply(self, answer: Answer) -> None:
        if self._transport.is_closing() or answer.ending is Ending.HANG:
            return
        if answer.ending is not Ending.ANSWER:
            self._transport.abort()
            return
        self._requests += 1
        self._send(answer)
        if self._h11.our_state is h11.MUST_CLOSE:
            self._transport.close()
        elif self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            # Answered later (latency): what the client has pipelined meanwhile waits in h11.
            self._advance()

    def _send(self, answer: Answer) -> None:
        headers = list(headers_of(answer))
        if self._rules.goaway_every and self._requests >= self._rules.goaway_every:
            headers.append(("connection", "close"))  # what GOAWAY is in HTTP/2
        self._write(h11.Response(status_code=answer.status, headers=headers))
        if answer.body and self._head is not None and self._head.method != b"HEAD":
            self._write(h11.Data(data=answer.body))
        self._write(h11.EndOfMessage())

    def _write(self, event: h11.Response | h11.InformationalResponse | h11.Data | h11.EndOfMessage) -> None:
        data = self._h11.send(event)
        if data:
            self._transport.write(data)

    def _continue_if_awaited(self) -> None:
        if self._h11.they_are_waiting_for_100_continue:
            self._write(h11.InformationalResponse(status_code=100, headers=[]))

    def _refuse_malformed(self, err: h11.RemoteProtocolError) -> None:
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            status = err.error_status_hint or 400
            headers = headers_of(Answer(status=status, headers=(("connection", "close"),)))
            self._write(h11.Response(status_code=status, headers=list(headers)))
            self._write(h11.EndOfMessage())
        self._transport.close()
