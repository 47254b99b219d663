"""One request and its answer, as every part of the simulators hands them on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import msgspec

Headers = tuple[tuple[str, str], ...]

JSON_TYPE = ("content-type", "application/json; charset=UTF-8")


class Ending(Enum):
    """How a request ends on the wire."""

    ANSWER = "answer"  #: with status, headers and body
    HANG = "hang"  #: never
    RESET = "reset"  #: RST_STREAM, or on HTTP/1.1 a closed connection
    CUT = "cut"  #: the whole connection is aborted, other streams with it


@dataclass(frozen=True, slots=True)
class Request:
    """A complete request. Header names are lower case; a repeated header keeps its last value."""

    method: str
    path: str  #: with the query
    headers: dict[str, str]
    body: bytes
    connection: int  #: number of the connection since the process started
    authority: str  #: Host or :authority
    http_version: str  #: "2" or "1.1"
    repeated: frozenset[str] = frozenset()  #: names of headers sent more than once


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back. Status 0 belongs to the endings that send nothing."""

    status: int
    reason: str = ""  #: the service's word for a refusal, for the log
    headers: Headers = ()
    body: bytes = b""
    ending: Ending = Ending.ANSWER
    delay_s: float = 0.0
    trace: Headers = ()  #: headers that stay whatever a behaviour makes of the answer (apns-id)
    authenticated: bool = False  #: the request carried a valid provider token (APNs then allows more streams)

    @property
    def is_accepted(self) -> bool:
        """Whether the push service took the notification."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a service thinks of a request before any behaviour or mode changes the answer."""

    answer: Answer
    token: str = ""  #: device token as it came in the request
    notification: object = None  #: decoded, JSON-able


#: A longer body is judged as far as it came: over every service's limit already. Below HTTP/2's initial stream window
#: of 65,535, so that no stream ever waits for a WINDOW_UPDATE of ours.
MAX_BODY = 48 * 1024

Reply = Callable[[Answer], None]


class Certificate(Enum):
    """Which server certificate new connections see."""

    GOOD = "good"
    EXPIRED = "expired"
    WRONG_HOST = "wrong_host"  #: for another name
    UNTRUSTED = "untrusted"  #: by an authority nobody has


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRules:
    """How a port treats its connections."""

    max_streams: int = 100
    is_one_stream_first: bool = False  #: one stream until a request with a valid token (Apple)
    goaway_every: int = 0  #: GOAWAY after so many requests on a connection; 0 = never
    is_drained: bool = True  #: streams at or below the last-stream-id are still answered
    goaway_debug: bytes = b""  #: additional data of the frame
    certificate: Certificate = Certificate.GOOD


class LiveConnection(Protocol):
    """An open connection, as the port that owns it sees it."""

    def apply(self, rules: ConnectionRules) -> None:
        """Follow new rules from now on."""

    def abort(self) -> None:
        """Cut the connection."""


class Responder(Protocol):
    """Whatever stands behind a listening port."""

    rules: ConnectionRules
    connections: set[LiveConnection]

    def handle(self, request: Request, reply: Reply) -> None:
        """Call `reply` once, now or later (never, for a hang it still gets an answer that says so)."""


def json_answer(status: int, content: object, *, reason: str = "", headers: Headers = ()) -> Answer:
    """Build an answer with a JSON body."""
    return Answer(status=status, reason=reason, headers=(JSON_TYPE, *headers), body=msgspec.json.encode(content))
