"""The request log: one JSON line per push request, as it was judged; the truth of what arrived."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from array import array
from functools import lru_cache
from pathlib import Path

import msgspec

from messaging.simulators.exchange import Request, Verdict

FLUSH_AFTER_S = 0.1
LOGGED_HEADERS = (
    "apns-id",
    "apns-topic",
    "apns-push-type",
    "apns-priority",
    "apns-expiration",
    "apns-collapse-id",
    "ttl",
    "urgency",
    "topic",
    "content-type",
    "content-encoding",
    "x-wns-type",
    "x-wns-ttl",
    "x-wns-tag",
    "x-wns-cache-policy",
)


class RequestLog:
    """An append-only file. Used from the simulators' event loop alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # 0600: the log holds device tokens and message texts.
        self._descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        self._size = os.fstat(self._descriptor).st_size
        self._offsets = array("Q")  #: where each entry of this process begins
        self._listed_from = 0  #: entries before this one were reset away
        self._buffer: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def last(self) -> int:
        """The number of the newest entry; the first of a process is 1."""
        return len(self._offsets)

    def write(self, service: str, request: Request, verdict: Verdict) -> None:
        """Add an entry; on disk 100 ms later at most."""
        line = msgspec.json.encode(self._entry(service, request, verdict)) + b"\n"
        self._offsets.append(self._size)
        self._size += len(line)
        self._buffer.append(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_AFTER_S, self.flush)

    def flush(self) -> None:
        """Write what is buffered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pending = memoryview(b"".join(self._buffer))
        self._buffer.clear()
        while pending:
            pending = pending[os.write(self._descriptor, pending) :]

    def close(self) -> None:
        """Flush and close the file."""
        self.flush()
        os.close(self._descriptor)

    def forget(self) -> None:
        """List only entries written from now on; the file keeps all of them."""
        self._listed_from = self.last

    def read(self, since: int, limit: int) -> bytes:
        """Return at most `limit` lines with a number above `since`."""
        self.flush()
        first = max(since, self._listed_from)
        if first >= self.last:
            return b""
        beyond = min(first + limit, self.last)
        start = self._offsets[first]
        end = self._offsets[beyond] if beyond < self.last else self._size
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def _entry(self, service: str, request: Request, verdict: Verdict) -> dict[str, object]:
        headers = {name: request.headers[name] for name in LOGGED_HEADERS if name in request.headers}
        if "authorization" in request.headers:
            headers["authorization"] = _fingerprint(request.headers["authorization"])
        return {
            "seq": self.last + 1,
            "time": round(time.time(), 4),
            "service": service,
            "token": verdict.token,
            "status": verdict.answer.status,
            "reason": verdict.answer.reason,
            "headers": headers,
            "notification": verdict.notification,
            "connection": request.connection,
            "http": request.http_version,
        }


@lru_cache(maxsize=256)
def _fingerprint(authorization: str) -> str:
    return "sha256:" + hashlib.sha256(authorization.encode()).hexdigest()[:12]
