"""A TCP proxy on loopback whose connections can be cut, held back and swallowed, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from typing import TypeVar

T = TypeVar("T")
#: SO_LINGER of zero seconds: closing sends RST and drops what is unsent
_RESET = struct.pack("ii", 1, 0)


class FaultProxy:
    """Forwards to a port of this machine, or to a Unix socket. Its methods may be called from any thread."""

    def __init__(self, target: int | str) -> None:
        self.port = 0
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)
        self._is_up = True
        self._flowing = asyncio.Event()
        self._flowing.set()

    def cut(self) -> None:
        """Reset every connection; new ones are taken at once."""
        self._in_loop(self._cut())

    def hold(self) -> None:
        """Take bytes, new connections and farewells, and hand nothing on."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def let_go(self) -> None:
        """Hand on what was held back, and everything from now on."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def forget(self) -> None:
        """What a firewall that lost its state does after a silence: nothing held back arrives, every peer gets RST."""
        self._in_loop(self._cut())
        self.let_go()

    def fall(self) -> None:
        """What a server that was killed does: every connection is reset, the new ones too, until it rises."""
        self._is_up = False
        self.cut()

    def rise(self) -> None:
        """Take connections again."""
        self._is_up = True

    def serve(self) -> None:
        """Listen on a free port, in a thread that ends with the process."""
        self._thread.start()
        self.port = self._in_loop(self._listen())

    def end(self) -> None:
        """Cut everything and stop listening."""
        self._in_loop(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _in_loop(self, work: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _end(self) -> None:
        self._server.close()
        self._flowing.set()
        while self._open:  # their pumps close them
            await self._cut()
            await asyncio.sleep(0.02)

    async def _cut(self) -> None:
        for writer in tuple(self._open):
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await self._flowing.wait()
            if self._is_up:
                await self._join(reader, writer)
        finally:
            await self._drop(writer)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            other_reader, other_writer = await self._connect()
        except OSError:
            return  # nobody listens: the client is told so by the end of its connection
        self._open.add(other_writer)
        try:
            await asyncio.gather(self._pump(reader, other_writer), self._pump(other_reader, writer))
        finally:
            await self._drop(other_writer)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, str):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection("127.0.0.1", self._target)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        await self._flowing.wait()
        writer.close()

    async def _drop(self, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self._open.discard(writer)


@contextlib.contextmanager
def fault_proxy(target: int | str) -> Iterator[FaultProxy]:
    """A running proxy to a port or a Unix socket."""
    proxy = FaultProxy(target)
    proxy.serve()
    try:
        yield proxy
    finally:
        proxy.end()
