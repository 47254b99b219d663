"""TLS listeners: one port per service, HTTP/2 or HTTP/1.1 as ALPN says."""

from __future__ import annotations

import asyncio
import itertools
import socket
from typing import cast

from messaging.simulators.exchange import Responder
from messaging.simulators.http1 import Http1Connection
from messaging.simulators.http2 import Http2Connection
from messaging.simulators.tls import ServerContexts

_connection_numbers = itertools.count(1)


class _Wire(asyncio.Protocol):
    """Bytes of one TCP connection, handed to the codec the client negotiated."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._codec: Http1Connection | Http2Connection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Choose the codec; TLS and ALPN are done by now."""
        tls = transport.get_extra_info("ssl_object")
        codec = Http2Connection if tls.selected_alpn_protocol() == "h2" else Http1Connection
        self._codec = codec(cast(asyncio.Transport, transport), self._responder, next(_connection_numbers))
        self._responder.connections.add(self._codec)

    def data_received(self, data: bytes) -> None:
        """Hand bytes on."""
        if self._codec is not None:
            self._codec.receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the port's list; what is still to be answered is not written."""
        if self._codec is not None:
            self._responder.connections.discard(self._codec)
            # A TLS transport learns of the loss by this alone: until then it says it is open, and each write warns.
            self._codec.abort()


class Listener:
    """A listening port and the responder behind it."""

    def __init__(self, server: asyncio.Server, responder: Responder) -> None:
        self._server = server
        self._responder = responder

    async def close(self) -> None:
        """Stop listening and cut the open connections."""
        self._server.close()
        for connection in tuple(self._responder.connections):
            connection.abort()
        # Two rounds of the loop let the aborted TLS transports report their loss and close their sockets.
        while self._responder.connections:
            await asyncio.sleep(0)


async def listen(responder: Responder, bound: socket.socket, contexts: ServerContexts) -> Listener:
    """Serve a responder on a bound socket."""
    loop = asyncio.get_running_loop()
    context = contexts.for_port(lambda: responder.rules.certificate)
    return Listener(await loop.create_server(lambda: _Wire(responder), sock=bound, ssl=context, backlog=512), responder)
