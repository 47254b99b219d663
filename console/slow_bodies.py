"""Request bodies that dawdle: they hold few threads of the web process, and not for long.

granian hands a request to a thread as soon as its headers are there; reading the body then waits in native code that
knows no timeout, for as long as the client likes. So a watch notes who waits for whose body. A body, or each 64 KiB of
it, has ten seconds; one, when its address or the whole process has too many late ones. Then the reading side of the
connection is shut down: the thread goes on, the client is answered 408.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from console.connections import shut_down_reading

ALLOWED_S = 10.0
#: what is late from here on counts against its address, and goes at once where there is too much of it
LATE_S = 1.0
LATE_OF_ADDRESS = 4
LATE_OF_PROCESS = 8
#: an address that was cut off for too many gets this many bodies read at a time, for a while
BOXED_BODIES = 2
BOXED_S = 60.0
_MOST_BOXED = 10_000
_TICK_S = 0.25
_CHUNK = 64 * 1024
#: after "too large" the rest is read and thrown away: closing on unread data loses the answer (RFC 9112 9.6)
_MOST_DRAINED = 16 * 1024 * 1024

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class BodyCut(OSError):
    """The body did not arrive in time."""


@dataclass(slots=True)
class Awaited:
    """A thread waits for bytes of a body."""

    address: str
    port: int  #: ours, which the client is connected to
    since: float = 0.0
    is_cut: bool = False


@dataclass(slots=True)
class Watch:
    """The bodies this process waits for, and who was cut off."""

    clock: Callable[[], float] = time.monotonic
    awaited: dict[int, Awaited] = field(default_factory=dict)
    boxed: dict[str, float] = field(default_factory=dict)

    def may_send(self, address: str) -> bool:
        """Whether another body of that address is read now."""
        until = self.boxed.get(address)
        if until is None:
            return True
        if until < self.clock():
            self.boxed.pop(address, None)
            return True
        return sum(body.address == address for body in list(self.awaited.values())) < BOXED_BODIES

    def overdue(self) -> dict[tuple[str, int], float]:
        """Address and port of what has had its time, with the seconds of the shortest wait; marks them as cut."""
        now = self.clock()
        late = [body for body in list(self.awaited.values()) if now - body.since >= LATE_S]
        of_address = Counter(body.address for body in late)
        self._box([address for address, count in of_address.items() if count > LATE_OF_ADDRESS], now)
        found: dict[tuple[str, int], float] = {}
        for body in late:
            is_too_many = len(late) > LATE_OF_PROCESS or of_address[body.address] > LATE_OF_ADDRESS
            if is_too_many or now - body.since >= ALLOWED_S:
                body.is_cut = True
                place = (body.address, body.port)
                found[place] = min(now - body.since, found.get(place, ALLOWED_S))
        return found

    def _box(self, addresses: list[str], now: float) -> None:
        if len(self.boxed) > _MOST_BOXED:
            self.boxed.clear()
        self.boxed.update(dict.fromkeys(addresses, now + BOXED_S))

    def run(self) -> None:
        """Cut off what is overdue, for ever."""
        while True:
            time.sleep(_TICK_S)
            if not self.awaited:
                continue
            for (address, port), seconds in self.overdue().items():
                shut_down_reading(address, port, silent_s=seconds - _TICK_S)


class GuardedBody:
    """`wsgi.input` whose every read is watched."""

    def __init__(self, stream: Any, watch: Watch, place: Awaited) -> None:
        self._stream = stream
        self._watch = watch
        self._place = place

    def read(self, size: int | None = None) -> bytes:
        """Up to `size` bytes, fewer at the end. Raises BodyCut."""
        if size is not None and 0 <= size <= _CHUNK:
            return self._read(size)
        parts, missing = [b""], float("inf") if size is None or size < 0 else size
        while missing > 0:
            wanted = int(min(_CHUNK, missing))
            parts.append(self._read(wanted))
            missing -= wanted
            if len(parts[-1]) < wanted:  # granian gives less only at the end
                break
        return b"".join(parts)

    def readline(self, size: int | None = None) -> bytes:
        """One line. Raises BodyCut."""
        return self._watched(self._stream.readline)

    def __iter__(self) -> Iterable[bytes]:
        return iter(self.readline, b"")

    def drain(self) -> None:
        """Throw away what is left, up to a bound."""
        left = _MOST_DRAINED
        with suppress(BodyCut):
            while left > 0 and (part := self._read(_CHUNK)):
                left -= len(part)

    def _read(self, size: int) -> bytes:
        return self._watched(self._stream.read, size)

    def _watched(self, read: Callable[..., bytes], *args: int) -> bytes:
        place, key = self._place, id(self)
        place.since = self._watch.clock()
        self._watch.awaited[key] = place
        try:
            part = read(*args)
        finally:
            del self._watch.awaited[key]
        if place.is_cut:
            raise BodyCut()
        return part


class BodyGuard:
    """WSGI middleware around the whole application: pages read forms as the API reads JSON."""

    def __init__(self, application: Application, watch: Watch) -> None:
        self._application = application
        self._watch = watch
        threading.Thread(target=watch.run, name="slow-bodies", daemon=True).start()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """The application's answer, or 429 to an address whose bodies dawdled."""
        if environ.get("CONTENT_LENGTH", "0") == "0" and "HTTP_TRANSFER_ENCODING" not in environ:
            return self._application(environ, start_response)
        place = Awaited(environ.get("REMOTE_ADDR", ""), int(environ.get("SERVER_PORT") or 0))
        if not self._watch.may_send(place.address):
            return _refuse(start_response)
        body = environ["wsgi.input"] = GuardedBody(environ["wsgi.input"], self._watch, place)
        statuses: list[str] = []

        def noting(status: str, *args: Any) -> Any:
            statuses.append(status)
            return start_response(status, *args)

        answer = self._application(environ, noting)
        if statuses and statuses[0].startswith("413"):
            body.drain()
        return answer


def _refuse(start_response: StartResponse) -> Iterable[bytes]:
    content = b'{"code":5906,"message":"Too many slow request bodies from this address.","errorData":{}}'
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(content))),
        ("Retry-After", str(int(BOXED_S))),
        ("Connection", "close"),
    ]
    start_response("429 Too Many Requests", headers)
    return [content]
