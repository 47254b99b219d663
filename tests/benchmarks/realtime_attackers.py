"""`python -m tests.benchmarks.realtime_attackers KIND COUNT URL APPLICATION_ID KEY`: clients that mean harm.

They come from 127.0.0.66, so that one address does it all. Kinds: `sessions` opens sessions with wrong keys and holds
a poll on each; `handshakes` sends websocket handshakes a byte a second; `subscribe` subscribes to ever new channels
over websockets with a right key, as fast as the server reads. Who is refused or cut off tries again. Prints one JSON
line a second: what it has open, and how often it was refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.benchmarks.realtime_clients import Target

ADDRESS = "127.0.0.66"
_AGAIN_S = 0.5
_AT_ONCE = 64  #: subscriptions written before the server's answers are read


@dataclass(slots=True)
class Tally:
    """What the attack reached so far."""

    open: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Attacker:
    """One of many, for ever."""

    number: int
    target: Target
    tally: Tally

    async def run(self, attack: Callable[[Attacker], Awaitable[None]]) -> None:
        """Attack, and again when it was refused."""
        while True:
            with contextlib.suppress(OSError, EOFError, ValueError):
                await attack(self)
            self.tally.refused += 1
            await asyncio.sleep(_AGAIN_S)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection from the attackers' address."""
        address = urlsplit(self.target.url)
        return await asyncio.open_connection(address.hostname, address.port, local_addr=(ADDRESS, 0))

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Open while this lasts."""
        self.tally.open += 1
        try:
            yield
        finally:
            self.tally.open -= 1

    @property
    def path(self) -> str:
        """Of the handshake, without its transport."""
        return f"/{self.target.application_id}/?EIO=4&apiKey={self.target.key}&transport="


async def open_session(attacker: Attacker) -> None:
    """A session that polls and answers nothing."""
    reader, writer = await attacker.connect()
    with contextlib.closing(writer):
        path = f"GET {attacker.path}polling"
        writer.write(f"{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        sid = json.loads((await _body(reader))[1:])["sid"]
        writer.write(f"{path}&sid={sid} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        with attacker.counted():
            await _body(reader)


async def shake_hands_slowly(attacker: Attacker) -> None:
    """A byte a second."""
    reader, writer = await attacker.connect()
    with contextlib.closing(writer), attacker.counted():
        for byte in f"GET {attacker.path}websocket HTTP/1.1\r\n{_UPGRADE}".encode():
            writer.write(bytes((byte,)))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), 1.0)
                return  # answered or cut off


async def subscribe(attacker: Attacker) -> None:
    """Ever new channels."""
    reader, writer = await attacker.connect()
    with contextlib.closing(writer):
        writer.write(f"GET {attacker.path}websocket HTTP/1.1\r\n{_UPGRADE}\r\n".encode())
        if not (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101"):
            return
        namespace = f"/{attacker.target.application_id},"
        writer.write(_frame(f"40{namespace}"))
        with attacker.counted():
            for turn in range(1_000_000):
                for number in range(_AT_ONCE):
                    call_id = f"{turn}-{number}"
                    options = {"channel": f"{attacker.number}-{call_id}"}
                    call = {"id": call_id, "name": "PUB_SUB_MESSAGES", "options": options}
                    writer.write(_frame(f"42{namespace}" + json.dumps(["SUB_ON", call])))
                await writer.drain()
                if not await reader.read(65_536):
                    return


_UPGRADE = (
    "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: {'A' * 22}==\r\n"
)
ATTACKS = {"sessions": open_session, "handshakes": shake_hands_slowly, "subscribe": subscribe}


async def _body(reader: asyncio.StreamReader) -> bytes:
    """Of the next answer. Raises ValueError when it is a refusal."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(length)
    if not head.startswith(b"HTTP/1.1 200"):
        raise ValueError(body)
    return body


def _frame(text: str) -> bytes:
    """Masked with zeros, which leaves it as it is."""
    content = text.encode()
    length = bytes((0x80 | len(content),)) if len(content) < 126 else struct.pack("!BH", 0xFE, len(content))
    return b"\x81" + length + b"\0\0\0\0" + content


async def main(kind: str, count: int, target: Target) -> None:
    """Attack until killed."""
    tally = Tally()
    works = [asyncio.ensure_future(Attacker(number, target, tally).run(ATTACKS[kind])) for number in range(count)]
    while works:
        await asyncio.sleep(1)
        sys.stdout.write(json.dumps({"at": time.time(), "open": tally.open, "refused": tally.refused}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Target(*sys.argv[3:6])))
