"""Request bodies that dawdle: they hold few threads of the web process, and not for long.

granian hands a request to a thread as soon as its headers are there; reading the body then waits in native code that
knows no timeout, for as long as the client likes. So a watch notes who waits for whose body. A body, or each 64 KiB of
it, has ten seconds; one, when its address or the whole process has too many late ones. Then the reading side of the
connection is shut down: the thread goes on, the client is answered 408. Which connection it is, granian does not say.
So one late body costs its address the connections that went silent, which spares an upload that is merely long; where
it drips on, and where there are too many, all that wait for an answer.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from console.connections import Silent, shut_down_reading

ALLOWED_S = 10.0
#: what is late from here on counts against its address, and goes at once where there is too much of it
LATE_S = 1.0
LATE_OF_ADDRESS = 4
LATE_OF_PROCESS = 8
#: where an address has too many, what began a moment after them goes with them
CROWD_S = 0.5
#: an address that was cut off for too many gets this many bodies read at a time, for a while, each within LATE_S: two
#: that drip would keep everybody else there out
BOXED_BODIES = 2
BOXED_S = 60.0
#: for so long after its time those are spared that sent something just now
SPARING_S = 1.0
_JUST_NOW_S = 0.75
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

    def overdue(self) -> list[Silent]:
        """The connections of what has had its time, one for each address and port; marks the bodies as cut."""
        now, bodies = self.clock(), list(self.awaited.values())
        late = Counter(body.address for body in bodies if now - body.since >= LATE_S)
        crowds = {address for address, count in late.items() if count > LATE_OF_ADDRESS}
        self._box(crowds, now)
        found: dict[tuple[str, int], Silent] = {}
        for body in bodies:
            is_crowd, waited_s = body.address in crowds, now - body.since
            allowed_s = CROWD_S if is_crowd else self._allowed_s(body.address, late.total(), now)
            if waited_s >= allowed_s:
                body.is_cut = True
                is_sparing = not is_crowd and waited_s < allowed_s + SPARING_S
                silent = Silent(body.address, body.port, waited_s, _JUST_NOW_S if is_sparing else 0.0)
                place = (body.address, body.port)
                found[place] = _all_of(silent, found.get(place, silent))
        return list(found.values())

    def _allowed_s(self, address: str, late: int, now: float) -> float:
        is_boxed = self.boxed.get(address, 0.0) >= now
        return LATE_S if is_boxed or late > LATE_OF_PROCESS else ALLOWED_S

    def _box(self, addresses: Iterable[str], now: float) -> None:
        if len(self.boxed) > _MOST_BOXED:
            self.boxed.clear()
        self.boxed.update(dict.fromkeys(addresses, now + BOXED_S))

    def run(self) -> None:
        """Cut off what is overdue, for ever."""
        while True:
            time.sleep(_TICK_S)
            if not self.awaited:
                continue
            for silent in self.overdue():
                shut_down_reading(replace(silent, our_s=silent.our_s - _TICK_S))


def _all_of(one: Silent, other: Silent) -> Silent:
    """What takes in both, of the same address and port."""
    return replace(one, our_s=min(one.our_s, other.our_s), their_s=min(one.their_s, other.their_s))


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
        ("Cache-Control", "no-store"),
        ("Access-Control-Allow-Origin", "*"),  # or browsers call it a network error
        ("Access-Control-Expose-Headers", "retry-after"),
        ("Connection", "close"),
    ]
    start_response("429 Too Many Requests", headers)
    return [content]
