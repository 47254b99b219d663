"""One TCP connection of a socket process: HTTP/1.1 requests (RFC 9112), then perhaps a websocket (RFC 6455).

What is sent goes to the transport at once. What the peer does not take piles up there, and beyond a bound the
connection is cut: nobody waits for a slow subscriber.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

import h11
from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.utilities import LocalProtocolError

#: bytes of one POST body or websocket message; subscribers send little
MAX_RECEIVED = 100_000
#: bytes a subscriber may leave unread, beyond what the kernel holds for it
MAX_UNSENT = 1024 * 1024
#: seconds for a whole request to arrive, and for the next one on an idle connection
IDLE_S = 60.0
_WEBSOCKET_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_FINAL_TEXT = 0x81
_HEADERS = [
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
    body: bytes = b""

    @property
    def wants_websocket(self) -> bool:
        """Whether it asks to become one (RFC 6455 4.2.1)."""
        return self.headers.get(b"upgrade", b"").lower() == b"websocket" and b"sec-websocket-key" in self.headers


def text_frame_header(length: int) -> bytes:
    """What stands before an unmasked, final text frame of that many bytes (RFC 6455 5.2)."""
    if length < 126:
        return bytes((_FINAL_TEXT, length))
    if length < 65_536:
        return struct.pack("!BBH", _FINAL_TEXT, 126, length)
    return struct.pack("!BBQ", _FINAL_TEXT, 127, length)


class Connection(asyncio.Protocol):
    """Gives each request to `handle`, which answers now or later by `answer` or `become_websocket`."""

    def __init__(self, handle: Callable[[Connection, Request], None], members: set[Connection]) -> None:
        self._handle = handle
        self._members = members
        self._transport: asyncio.Transport | None = None
        self._http = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = b""
        self._frames: Frames | None = None
        self._text: list[str] = []
        self._text_length = 0
        self.idle_since = asyncio.get_running_loop().time()
        self.on_text: Callable[[str], None] = _ignore
        self.on_lost: Callable[[], None] = _nothing

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The peer is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._members.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone, or was cut off."""
        self._transport = None
        self._members.discard(self)
        self.on_lost()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._frames is not None:
            self._receive_frames(data)
            return
        try:
            self._http.receive_data(data)
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)
        else:
            self._read_requests()

    # HTTP

    def _read_requests(self) -> None:
        try:
            while self._frames is None and self._transport is not None:
                event = self._http.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    return
                self._take(event)
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Request):
            self._request, self._body = event, b""
        elif isinstance(event, h11.Data):
            self._body += bytes(event.data)
            if len(self._body) > MAX_RECEIVED:
                self._refuse(413)
        elif isinstance(event, h11.EndOfMessage):
            self._complete()
        elif isinstance(event, h11.ConnectionClosed):
            self.close()

    def _complete(self) -> None:
        assert self._request is not None
        self.idle_since = float("inf")
        try:
            request = _request(self._request, self._body)
        except ValueError:
            self.answer(400, b"", "text/plain")
        else:
            self._handle(self, request)

    def _refuse(self, status: int) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.answer(status, b"", "text/plain")
        self.close()

    def answer(self, status: int, body: bytes, content_type: str) -> None:
        """Answer the open request; a peer that has gone hears nothing."""
        if self._transport is None or self._http.our_state is h11.ERROR:
            return
        headers = [*_HEADERS, (b"Content-Type", content_type.encode()), (b"Content-Length", b"%d" % len(body))]
        response = self._http.send(h11.Response(status_code=status, headers=headers)) or b""
        is_head = self._request is not None and self._request.method == b"HEAD"  # RFC 9110 9.3.2: all but the content
        content = self._http.send(h11.Data(data=body)) or b"" if body and not is_head else b""
        end = self._http.send(h11.EndOfMessage()) or b""
        self._write(response + content + end)
        self.idle_since = asyncio.get_running_loop().time()
        if self._http.our_state is h11.MUST_CLOSE:
            self.close()
        elif self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            # not at once: an answer given inside `handle` is inside the loop that reads requests
            asyncio.get_running_loop().call_soon(self._read_requests)

    # Websocket

    def become_websocket(self, request: Request) -> None:
        """Answer 101; from now on texts go to `on_text`."""
        key = request.headers[b"sec-websocket-key"] + _WEBSOCKET_KEY
        accept = base64.b64encode(hashlib.sha1(key, usedforsecurity=False).digest())
        headers = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Accept", accept)]
        self._write(self._http.send(h11.InformationalResponse(status_code=101, headers=headers)) or b"")
        self._frames = Frames(ConnectionType.SERVER)
        early = self._http.trailing_data[0]
        if early:
            asyncio.get_running_loop().call_soon(self._receive_frames, bytes(early))

    def _receive_frames(self, data: bytes) -> None:
        assert self._frames is not None
        try:
            self._frames.receive_data(data)
            for event in self._frames.events():
                self._take_frame(event)
        except LocalProtocolError:
            self.close()

    def _take_frame(self, event: Event) -> None:
        assert self._frames is not None
        if isinstance(event, TextMessage):
            self._take_text(event)
        elif isinstance(event, Ping):
            self._write(self._frames.send(event.response()))
        elif isinstance(event, CloseConnection | BytesMessage):
            self.close()

    def _take_text(self, event: TextMessage) -> None:
        self._text.append(event.data)
        self._text_length += len(event.data) + 1  # a piece without content takes room too
        if self._text_length > MAX_RECEIVED:
            self.close()
        elif event.message_finished:
            text = "".join(self._text)
            self._text, self._text_length = [], 0
            self.on_text(text)

    def send_text(self, *parts: bytes) -> None:
        """Send one text message made of these parts, which are joined only here: most subscribers share the last."""
        self._write(b"".join((text_frame_header(sum(map(len, parts))), *parts)))

    # Both

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        transport.write(data)
        if transport.get_write_buffer_size() > MAX_UNSENT:
            self.abort()

    def close(self) -> None:
        """Send what is waiting to be sent, then close."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._frames is not None:
            self._write(b"\x88\x02\x03\xe8")  # a close frame: 1000, normal closure
        self.idle_since = asyncio.get_running_loop().time()  # a peer that is dead takes nothing: cut it off in the end
        transport.close()

    def abort(self) -> None:
        """Close at once. By RST: the kernel would go on for minutes with what a slow peer has not taken."""
        if self._transport is not None:
            connected = self._transport.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()


def _request(head: h11.Request, body: bytes) -> Request:
    """Raises ValueError when the target is no address."""
    target = urlsplit(head.target.decode("ascii", "replace"))
    query = dict(parse_qsl(target.query, keep_blank_values=True, errors="replace"))
    return Request(head.method.decode(), unquote(target.path), query, dict(head.headers), body)


def _ignore(_text: str) -> None:
    return None


def _nothing() -> None:
    return None
