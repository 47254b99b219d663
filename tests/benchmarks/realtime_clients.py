"""`python -m tests.benchmarks.realtime_clients COUNT URL APPLICATION_ID KEY`: live subscribers that measure.

Websockets on one event loop. For each line "report" on standard input it prints one JSON line and starts to count
anew; for "count" it says how much came so far. A client that is cut off comes back 30 ms later, as the SDK does.
Messages are `{"n": number, "at": seconds}`.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_BACK_AFTER_S = 0.03


@dataclass(slots=True)
class Tally:
    """What all clients saw."""

    ready: int = 0
    latencies: list[float] = field(default_factory=list)
    seen: Counter[tuple[int, int]] = field(default_factory=Counter)  #: (client, message number)
    last_at: float = 0.0

    def report(self) -> dict[str, object]:
        """Milliseconds, and how much came."""
        ordered = sorted(self.latencies) or [0.0]
        report = {
            "ready": self.ready,
            "received": len(self.latencies),
            "doubled": sum(count - 1 for count in self.seen.values()),
            "p50_ms": round(ordered[len(ordered) // 2] * 1000, 1),
            "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 1),
            "last_at": self.last_at,
        }
        self.latencies, self.seen = [], Counter()
        return report


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, as whom."""

    url: str
    application_id: str
    key: str


class Client(asyncio.Protocol):
    """One subscriber."""

    def __init__(self, number: int, target: Target, tally: Tally) -> None:
        self._number, self._target, self._tally = number, target, tally
        self._received = b""
        self._is_upgraded = self._is_ready = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a websocket."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        path = f"/{self._target.application_id}/?EIO=4&transport=websocket&apiKey={self._target.key}"
        headers = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        transport.write(f"GET {path} HTTP/1.1\r\n{headers}Sec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())

    def connection_lost(self, exc: Exception | None) -> None:
        """Come back."""
        self._tally.ready -= self._is_ready
        asyncio.get_running_loop().call_later(_BACK_AFTER_S, connect, self._number, self._target, self._tally)

    def data_received(self, data: bytes) -> None:
        """Cut frames; a server's are not masked."""
        self._received += data
        if not self._is_upgraded:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            self._is_upgraded, self._received = True, rest
        while (frame := self._next_frame()) is not None:
            self._take(frame)

    def _next_frame(self) -> bytes | None:
        received = self._received
        if len(received) < 2:
            return None
        length, start = received[1], 2
        if length == 126:
            if len(received) < 4:
                return None
            length, start = struct.unpack_from("!H", received, 2)[0], 4
        if len(received) < start + length:
            return None
        self._received = received[start + length :]
        return received[start : start + length]

    def _take(self, packet: bytes) -> None:
        namespace = f"/{self._target.application_id},"
        if packet[:1] == b"0":
            self._send(f"40{namespace}")
        elif packet == b"2":
            self._send("3")
        elif packet[:2] == b"40":
            call = {"id": "m", "name": "PUB_SUB_MESSAGES", "options": {"channel": "default"}}
            self._send(f"42{namespace}" + json.dumps(["SUB_ON", call]))
        elif b'"SUB_READY"' in packet:
            self._is_ready = True
            self._tally.ready += 1
        elif b'"SUB_RES"' in packet:
            self._count(packet)

    def _count(self, packet: bytes) -> None:
        now = time.time()
        start = packet.index(b'"message":{') + len(b'"message":')
        message = json.loads(packet[start : packet.index(b"}", start) + 1])
        self._tally.latencies.append(now - message["at"])
        self._tally.seen[self._number, message["n"]] += 1
        self._tally.last_at = now

    def _send(self, text: str) -> None:
        """A frame masked with zeros, which leaves it as it is."""
        content = text.encode()
        length = bytes((0x80 | len(content),)) if len(content) < 126 else struct.pack("!BH", 0xFE, len(content))
        self._transport.write(b"\x81" + length + b"\0\0\0\0" + content)


def connect(number: int, target: Target, tally: Tally) -> None:
    """Connect, again and again until somebody listens."""
    tasks.add(task := asyncio.ensure_future(_connect(number, target, tally)))
    task.add_done_callback(tasks.discard)


tasks: set[asyncio.Task[None]] = set()


async def _connect(number: int, target: Target, tally: Tally) -> None:
    address = urlsplit(target.url)
    while True:
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: Client(number, target, tally), address.hostname, address.port
            )
        except OSError:
            await asyncio.sleep(0.4)
        else:
            return


async def main(count: int, target: Target) -> None:
    """Connect everybody, then answer until standard input ends."""
    tally = Tally()
    for number in range(count):
        connect(number, target, tally)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        told = tally.report() if line == "report\n" else {"received": len(tally.latencies)}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Target(*sys.argv[2:5])))
