"""What an HTTP exchange says: requests, and answers as bytes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

import h11
import msgspec

from devices.errors import ApiError
from messaging.realtime.incoming import Body

JSON = "application/json"
#: Engine.IO's words
BAD_REQUEST = b'{"code":3,"message":"Bad request"}'
HEADERS = [
    (b"Access-Control-Allow-Origin", b"*"),
    (b"Access-Control-Allow-Methods", b"GET, POST, OPTIONS"),
    (b"Access-Control-Allow-Headers", b"content-type"),
    (b"Access-Control-Max-Age", b"86400"),
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, complete."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[bytes, bytes] = field(default_factory=dict)  #: names in lower case
    body: Body | None = None
    client: str = ""  #: whose limits it counts towards

    @property
    def wants_websocket(self) -> bool:
        """Whether it asks to become one (RFC 6455 4.2.1)."""
        return self.headers.get(b"upgrade", b"").lower() == b"websocket" and b"sec-websocket-key" in self.headers


def request_of(head: h11.Request) -> Request:
    """Raises ValueError when the target is no address."""
    target = urlsplit(head.target.decode("ascii", "replace"))
    query = dict(parse_qsl(target.query, keep_blank_values=True, errors="replace"))
    return Request(head.method.decode(), unquote(target.path), query, dict(head.headers))


def error_body(error: ApiError) -> bytes:
    """As REST writes it."""
    return msgspec.json.encode({"code": error.code, "message": error.message, "errorData": {}})


def retry_after(error: ApiError) -> list[tuple[bytes, bytes]]:
    """The header, where time helps."""
    return [(b"Retry-After", b"%d" % error.retry_after_s)] if error.retry_after_s else []


def refusal_at_once(error: ApiError) -> bytes:
    """A whole answer, to a request that was not read."""
    body = error_body(error)
    about = [(b"Content-Type", JSON.encode()), (b"Content-Length", b"%d" % len(body)), (b"Connection", b"close")]
    lines = b"".join(b"%s: %s\r\n" % header for header in [*HEADERS, *retry_after(error), *about])
    return b"HTTP/1.1 %d Refused\r\n%s\r\n%s" % (error.http_status, lines, body)
