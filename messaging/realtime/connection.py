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
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import h11
from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.utilities import LocalProtocolError

from devices.errors import ApiError, BodyTooSlow
from messaging.realtime.exchange import (
    BAD_REQUEST,
    HEADERS,
    JSON,
    Request,
    error_body,
    refusal_at_once,
    request_of,
    retry_after,
)
from messaging.realtime.incoming import ROOM_OF_ARRIVING, Body, Incoming
from messaging.realtime.limits import Limits

#: bytes a subscriber may leave unread, beyond what the kernel holds for it
MAX_UNSENT = 1024 * 1024
#: bytes that may come behind a request that is not answered yet
_MAX_AHEAD = 64 * 1024
#: of one websocket message; each piece of a frame that a read brings is one
_MAX_PIECES = 32_768
#: seconds for the next request to begin, and for a peer to take the last bytes
_NEXT_S, _CLOSE_S = 60.0, 10.0
#: bytes of websocket frames taken before others have their turn: one read may hold 40,000 frames of 20 us each
_SLICE = 4096
#: seconds an address that sent too much waits at most before it is looked at again
_LONGEST_WAIT_S = 5.0
_NEVER = float("inf")
_WEBSOCKET_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_FINAL_TEXT = 0x81


def text_frame_header(length: int) -> bytes:
    """What stands before an unmasked, final text frame of that many bytes (RFC 6455 5.2)."""
    if length < 126:
        return bytes((_FINAL_TEXT, length))
    if length < 65_536:
        return struct.pack("!BBH", _FINAL_TEXT, 126, length)
    return struct.pack("!BBQ", _FINAL_TEXT, 127, length)


class Host(Protocol):
    """What connections belong to."""

    limits: Limits

    def handle(self, connection: Connection, request: Request) -> None:
        """Answer the request now or later, by `answer`, `refuse` or `become_websocket`."""

    def body_of(self, request: Request) -> Body:
        """What takes its body."""


class Connection(asyncio.Protocol):
    """Gives each request to its host."""

    def __init__(self, host: Host, members: set[Connection]) -> None:
        self._host = host
        self._limits = host.limits
        self._members = members
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._peer = self._client = ""
        self._http = h11.Connection(h11.SERVER)
        self._head: Request | None = None
        self._is_head = False
        self._body = Body(4, ROOM_OF_ARRIVING)
        self._ahead = 0
        self._frames: Frames | None = None
        self._unread = b""
        self._is_paused = self._is_idle = False
        self.room = ROOM_OF_ARRIVING
        self._incoming = Incoming(self.room.kept)
        self._pieces = 0
        self.deadline = self._loop.time() + self._limits.bounds.request_s
        self.on_message: Callable[[Incoming], None] = _ignore
        self.on_lost: Callable[[], None] = _nothing

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The peer is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._members.add(self)
        self._peer = transport.get_extra_info("peername")[0]
        try:
            self._limits.enter(self._peer)
        except ApiError as error:
            # before its request was read, which would cost as much as answering it
            transport.write(refusal_at_once(error))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone, or was cut off."""
        self._transport = None
        self._members.discard(self)
        self._limits.leave(self._peer)
        self.on_lost()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._frames is not None:
            self._receive_frames(data)
            return
        self._ahead += len(data)
        if self._is_busy and self._ahead > _MAX_AHEAD:
            self.abort()
            return
        try:
            self._http.receive_data(data)
        except h11.RemoteProtocolError as error:
            self._refuse_malformed(error.error_status_hint)
        else:
            self._read_requests()

    # HTTP

    @property
    def _is_busy(self) -> bool:
        """Whether a request waits for its answer."""
        return self.deadline == _NEVER

    def _read_requests(self) -> None:
        try:
            while self._frames is None and self._transport is not None:
                event = self._http.next_event()
                if event is h11.PAUSED:
                    return
                if event is h11.NEED_DATA:
                    self._expect_the_rest()
                    return
                self._take(event)
        except h11.RemoteProtocolError as error:
            self._refuse_malformed(error.error_status_hint)

    def _expect_the_rest(self) -> None:
        if self._is_idle and self._http.trailing_data[0]:
            self._is_idle, self.deadline = False, self._loop.time() + self._limits.bounds.request_s

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Request):
            if self._is_idle:
                self._is_idle, self.deadline = False, self._loop.time() + self._limits.bounds.request_s
            self._take_head(event)
        elif isinstance(event, h11.Data):
            self._take_body(event.data)
        elif isinstance(event, h11.EndOfMessage):
            self._complete()
        elif isinstance(event, h11.ConnectionClosed):
            self.close()

    def _take_head(self, event: h11.Request) -> None:
        self._is_head = event.method == b"HEAD"
        try:
            head = request_of(event)
        except ValueError:
            self._head, self._body = None, Body(4, ROOM_OF_ARRIVING)
        else:
            self._head = replace(head, client=self._limits.client_of(self._peer, head.headers))
            self._body = self._host.body_of(self._head)

    def _take_body(self, data: bytes) -> None:
        try:
            self._body.add(data)
        except ApiError as error:
            self._refuse_unread(error)

    def _complete(self) -> None:
        self.deadline, self._ahead = _NEVER, 0
        if self._head is None:
            self.answer(400, BAD_REQUEST, JSON)
            return
        request = replace(self._head, body=self._body)
        self._body = Body(4, ROOM_OF_ARRIVING)
        self._limits.spend(request.client)
        if wait_s := self._limits.wait_s(request.client):
            self._loop.call_later(min(wait_s, _LONGEST_WAIT_S), self._hand_on, request)
        else:
            self._hand_on(request)

    def _hand_on(self, request: Request) -> None:
        if self._transport is not None:
            self._host.handle(self, request)

    def _refuse_malformed(self, status: int) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.answer(status, BAD_REQUEST, JSON)
        self.close()

    def _refuse_unread(self, error: ApiError) -> None:
        """Answer before the request is there, and read no more of it."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.refuse(error)
        self.close()

    def refuse(self, error: ApiError) -> None:
        """Answer with the error, as REST does."""
        self.answer(error.http_status, error_body(error), JSON, retry_after(error))

    def answer(self, status: int, body: bytes, content_type: str, more: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Answer the open request; a peer that has gone hears nothing."""
        if self._transport is None or self._http.our_state is h11.ERROR:
            return
        about = ((b"Content-Type", content_type.encode()), (b"Content-Length", b"%d" % len(body)))
        response = self._http.send(h11.Response(status_code=status, headers=[*HEADERS, *more, *about])) or b""
        # a HEAD hears all but the content (RFC 9110 9.3.2)
        content = self._http.send(h11.Data(data=body)) or b"" if body and not self._is_head else b""
        end = self._http.send(h11.EndOfMessage()) or b""
        self._write(response + content + end)
        self.deadline, self._is_idle = self._loop.time() + _NEXT_S, True
        if self._http.our_state is h11.MUST_CLOSE:
            self.close()
        elif self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            # not at once: an answer given inside `handle` is inside the loop that reads requests
            self._loop.call_soon(self._read_requests)

    # Websocket

    def become_websocket(self, request: Request) -> None:
        """Answer 101; from now on messages go to `on_message`."""
        key = request.headers[b"sec-websocket-key"] + _WEBSOCKET_KEY
        accept = base64.b64encode(hashlib.sha1(key, usedforsecurity=False).digest())
        headers = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Accept", accept)]
        self._write(self._http.send(h11.InformationalResponse(status_code=101, headers=headers)) or b"")
        self._frames, self._client = Frames(ConnectionType.SERVER), request.client
        early = self._http.trailing_data[0]
        if early:
            self._loop.call_soon(self._receive_frames, bytes(early))

    def _receive_frames(self, data: bytes) -> None:
        self._unread += data
        if not self._is_paused:
            self._take_slice()

    def _take_slice(self) -> None:
        if wait_s := self._limits.wait_s(self._client):
            self._pause(wait_s)
            return
        piece, self._unread = self._unread[:_SLICE], self._unread[_SLICE:]
        self._limits.spend(self._client, self._take_frames(piece))
        if self._unread:
            self._pause(0.0)

    def _pause(self, seconds: float) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()
            self._loop.call_later(min(seconds, _LONGEST_WAIT_S), self._go_on)

    def _go_on(self) -> None:
        self._is_paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            if self._unread:
                self._take_slice()

    def _take_frames(self, data: bytes) -> int:
        """How many there were."""
        assert self._frames is not None
        count = 0
        try:
            self._frames.receive_data(data)
            for event in self._frames.events():
                self._take_frame(event)
                count += 1
        except LocalProtocolError:
            self.close()
        return count

    def _take_frame(self, event: Event) -> None:
        assert self._frames is not None
        if isinstance(event, TextMessage):
            self._take_text(event)
        elif isinstance(event, Ping):
            self._write(self._frames.send(event.response()))
        elif isinstance(event, CloseConnection) or (isinstance(event, BytesMessage) and self.room.is_strict):
            self.close()

    def _take_text(self, event: TextMessage) -> None:
        if not self._pieces:
            self._incoming = Incoming(self.room.kept)
        self._pieces += 1  # one without content costs time too
        self._incoming.add(event.data.encode(errors="replace"))
        if self._incoming.length > self.room.read or self._pieces > _MAX_PIECES:
            self.close()
        elif event.message_finished:
            message, self._incoming, self._pieces = self._incoming, Incoming(self.room.kept), 0
            self.on_message(message)

    def send_text(self, *parts: bytes) -> None:
        """Send one text message made of these parts, which are joined only here: most subscribers share the last."""
        self._write(b"".join((text_frame_header(sum(map(len, parts))), *parts)))

    # Both

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():  # asyncio logs every write to a connection that broke
            return
        if transport.get_write_buffer_size() > MAX_UNSENT:
            self.abort()
        else:  # one answer may be longer: who is cut off for a long list of users asks for it again, for ever
            transport.write(data)

    @property
    def held(self) -> int:
        """Bytes kept for it."""
        transport = self._transport
        unsent = 0 if transport is None else transport.get_write_buffer_size()
        return unsent + self._body.held + self._incoming.held + len(self._unread)

    def expire(self) -> None:
        """Its deadline has passed."""
        transport = self._transport
        if self._frames is None and not self._is_idle and transport is not None and not transport.is_closing():
            self._refuse_unread(BodyTooSlow("The request did not arrive in time. Try again."))
        else:
            self.abort()

    def close(self) -> None:
        """Send what is waiting to be sent, then close."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._frames is not None:
            self._write(b"\x88\x02\x03\xe8")  # a close frame: 1000, normal closure
        self.deadline = self._loop.time() + _CLOSE_S  # a peer that is dead takes nothing: cut it off in the end
        transport.close()

    def abort(self) -> None:
        """Close at once. By RST: the kernel would go on for minutes with what a slow peer has not taken."""
        if self._transport is not None:
            connected = self._transport.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()


def _ignore(_message: Incoming) -> None:
    return None


def _nothing() -> None:
    return None
