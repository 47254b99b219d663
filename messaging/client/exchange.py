"""HTTP/1.1 for asyncio, as much as a client of one server needs (RFC 9112)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from messaging.client.calls import Request, Response, retry_after_s
from messaging.client.target import Target

_MOST_HEADERS = 200
_WITHOUT_BODY = frozenset({204, 304})


class BadAnswer(OSError):
    """What came is no HTTP."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection, one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, target: Target) -> Connection:
        """Raises OSError."""
        port = target.port or (443 if target.tls else 80)
        return cls(*await asyncio.open_connection(target.host, port, ssl=target.tls))

    @property
    def is_usable(self) -> bool:
        """Whether the server has kept it open."""
        return not (self.reader.at_eof() or self.writer.is_closing())

    async def exchange(self, target: Target, request: Request[Any]) -> tuple[Response, bool]:
        """The answer, and whether the connection may be used again. Raises OSError and EOFError."""
        body = request.encoded()
        self.writer.write(_head(target, request, body) + (body or b""))
        await self.writer.drain()
        status, headers = await self._read_head()
        while 100 <= status < 200:
            status, headers = await self._read_head()
        content = b"" if status in _WITHOUT_BODY else await self._read_body(headers)
        is_kept = headers.get("connection", "").lower() != "close" and _is_delimited(status, headers)
        return Response(status, content, retry_after_s(headers.get("retry-after", ""))), is_kept

    async def _read_head(self) -> tuple[int, dict[str, str]]:
        words = (await self._read_line()).split(None, 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
            raise BadAnswer("no HTTP answer")
        headers = {"connection": "close"} if words[0] == "HTTP/1.0" else {}
        while line := await self._read_line():
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
            if len(headers) > _MOST_HEADERS:
                raise BadAnswer("too many headers")
        return int(words[1]), headers

    async def _read_line(self) -> str:
        try:
            line = await self.reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            raise BadAnswer("a line is too long") from error
        return line.decode("latin-1").rstrip("\r\n")

    async def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._read_chunks()
        if "content-length" in headers:
            return await self.reader.readexactly(_length(headers["content-length"], 10))
        return await self.reader.read()

    async def _read_chunks(self) -> bytes:
        chunks = []
        while size := _length((await self._read_line()).partition(";")[0].strip(), 16):
            chunks.append(await self.reader.readexactly(size))
            await self._read_line()
        while await self._read_line():
            pass  # trailers
        return b"".join(chunks)

    def close(self) -> None:
        """At once."""
        self.writer.close()

    async def closed(self) -> None:
        """Close, and wait until it is."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


def _head(target: Target, request: Request[Any], body: bytes | None) -> bytes:
    host = f"[{target.host}]" if ":" in target.host else target.host
    lines = [f"{request.method} {target.prefix}{request.path} HTTP/1.1"]
    lines.append(f"Host: {host}" if target.port is None else f"Host: {host}:{target.port}")
    lines += [f"{name}: {value}" for name, value in target.headers(request, body).items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _is_delimited(status: int, headers: Mapping[str, str]) -> bool:
    return status in _WITHOUT_BODY or "content-length" in headers or "transfer-encoding" in headers


def _length(text: str, base: int) -> int:
    try:
        length = int(text, base)
    except ValueError as error:
        raise BadAnswer("no length") from error
    if length < 0:
        raise BadAnswer("no length")
    return length
