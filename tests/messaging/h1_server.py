"""A small real HTTP/1.1 server over TLS that answers every request with the bytes a test gives it."""

from __future__ import annotations

import asyncio
import ssl
import threading
from dataclasses import dataclass, field

import h11

from tests.messaging.h2_server import Certificate


@dataclass
class Request:
    """One request as it arrived."""

    target: str
    headers: dict[str, str]
    body: bytes = b""


class Connection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, server: H1Server) -> None:
        self.server = server
        self._h1 = h11.Connection(h11.SERVER)
        self._request = Request("", {})

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.opened.append(self)

    def data_received(self, octets: bytes) -> None:
        """Collect a request; answer it when it is complete."""
        self._h1.receive_data(octets)
        while True:
            event = self._h1.next_event()
            if isinstance(event, h11.Request):
                headers = {name.decode(): text.decode() for name, text in event.headers}
                self._request = Request(event.target.decode(), headers)
            elif isinstance(event, h11.Data):
                self._request.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._answer()
            else:
                return

    def _answer(self) -> None:
        self.server.requests.append(self._request)
        self._h1 = h11.Connection(h11.SERVER)
        self.transport.write(self.server.answer)
        if self.server.closes or b"connection: close" in self.server.answer:
            self.transport.close()

    def hang_up(self) -> None:
        """Close in good order, from another thread; returns when the farewell has left."""
        done = threading.Event()
        self.server.loop.call_soon_threadsafe(lambda: (self.transport.close(), done.set()))
        assert done.wait(5)


@dataclass
class H1Server:
    """Serves in a thread of its own while it is entered."""

    certificate: Certificate
    protocols: tuple[str, ...] = ("http/1.1",)  #: offered by ALPN
    answer: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    closes: bool = False  #: after each answer
    requests: list[Request] = field(default_factory=list)
    opened: list[Connection] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    port: int = 0

    @property
    def url(self) -> str:
        """The server's origin."""
        return f"https://localhost:{self.port}"

    @property
    def connections(self) -> int:
        """How many there were."""
        return len(self.opened)

    def __enter__(self) -> H1Server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate.file, self.certificate.key_file)
        if self.protocols:
            context.set_alpn_protocols(self.protocols)
        self._listener = self.loop.run_until_complete(
            self.loop.create_server(lambda: Connection(self), "127.0.0.1", 0, ssl=context)
        )
        self.port = self._listener.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._shut_down(), self.loop).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()

    async def _shut_down(self) -> None:
        self._listener.close()
        for connection in self.opened:
            connection.transport.abort()
        await asyncio.sleep(0)
