"""One client of Engine.IO: what is sent to it and received from it, over whichever transport it has now."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterator
from typing import Protocol

from messaging.realtime import packets
from messaging.realtime.connection import MAX_UNSENT, Connection
from messaging.realtime.exchange import Request
from messaging.realtime.incoming import ROOM, ROOM_OF_ARRIVING, ROOM_OF_STRANGERS, Body, Incoming, Room
from messaging.realtime.limits import Limits
from messaging.realtime.packets import BadPacket

PING_EVERY_S = 25.0
PING_TIMEOUT_S = 20.0
_PROBE_S = 10.0
_NEVER = float("inf")
TEXT = "text/plain; charset=UTF-8"


class Client(Protocol):
    """Who sits on a session."""

    @property
    def held(self) -> int:
        """Bytes received that wait for their turn."""

    def receive(self, message: bytes) -> None:
        """Take what followed the type of an Engine.IO message. Raises BadPacket."""

    def refuse_unread(self, start: bytes, end: bytes) -> None:
        """Answer one that was too long to keep, as far as its ends tell what it was."""

    def closed(self) -> None:
        """The session is over."""


class Home(Protocol):
    """What sessions belong to."""

    limits: Limits

    def joined(self, session: Session) -> None:
        """It has a namespace."""

    def know(self, session: Session) -> None:
        """It has shown a right key."""

    def forget(self, session: Session) -> None:
        """It has ended."""


class Session:
    """A stranger until it is trusted."""

    def __init__(self, home: Home, protocol: int, request: Request) -> None:
        self.sid = secrets.token_urlsafe(15)
        self.protocol = protocol
        self.query = request.query
        self.address = request.client  #: whose limits it counts towards
        self.is_stranger = True
        self.client: Client
        self._home = home
        self._loop = asyncio.get_running_loop()
        self._poll: Connection | None = None
        self._websocket: Connection | None = None
        self._probe: Connection | None = None
        self._is_probed = False
        self._probed_at = 0.0
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._flush_is_coming = False
        self._is_open = True
        self._heard_at = self._pinged_at = self._loop.time()
        self._awaits_pong = False
        self._join_by = self._heard_at + home.limits.bounds.join_s

    # Who it is

    def join(self) -> None:
        """It joined its namespace."""
        if self._is_open:
            self._join_by = _NEVER
            self._home.joined(self)
            self._give_room()

    def leave(self) -> None:
        """It left its namespace, and has nothing to do here any more."""
        self._join_by = self._loop.time() + self._home.limits.bounds.join_s

    def trust(self) -> None:
        """It has shown a right key."""
        if self.is_stranger and self._is_open:
            self.is_stranger = False
            self._home.know(self)
            self._give_room()

    def _give_room(self) -> None:
        for connection in (self._probe, self._websocket):
            if connection is not None:
                connection.room = self.room

    @property
    def room(self) -> Room:
        """Of one POST or websocket message."""
        if not self.is_stranger:
            return ROOM
        return ROOM_OF_STRANGERS if self._join_by == _NEVER else ROOM_OF_ARRIVING

    @property
    def held(self) -> int:
        """Bytes kept for it; those of its connections are theirs."""
        return self._waiting_bytes + self.client.held

    # Sending

    def send(self, *parts: bytes) -> None:
        """Send one packet made of these parts."""
        if self._websocket is not None:
            self._websocket.send_text(*parts)
            return
        if self._waiting_bytes > MAX_UNSENT:
            self.close()
            return
        packet = b"".join(parts)
        self._waiting.append(packet)
        self._waiting_bytes += len(packet)
        if not self._flush_is_coming:
            # not at once: what is sent in the same turn of the loop travels in the same answer
            self._flush_is_coming = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_coming = False
        if self._websocket is not None:
            for packet in self._taken():
                self._websocket.send_text(packet)
        elif self._poll is not None and self._waiting:
            self._answer_poll(self._taken())

    def _taken(self) -> list[bytes]:
        taken, self._waiting, self._waiting_bytes = self._waiting, [], 0
        return taken

    def _answer_poll(self, answered: list[bytes]) -> None:
        poll, self._poll = self._poll, None
        if poll is not None:
            poll.on_lost = _nothing
            poll.answer(200, packets.encode_payload(answered, self.protocol), TEXT)

    # Long polling

    def poll(self, connection: Connection) -> None:
        """Hold a GET until there is something to say."""
        self._heard_at = self._loop.time()
        if self._poll is not None:
            self._answer_poll([packets.NOOP])
        self._poll = connection
        connection.on_lost = self._poll_lost
        if self._waiting:
            self._flush()
        elif self._is_probed or self._websocket is not None:
            self._answer_poll([packets.NOOP])

    def _poll_lost(self) -> None:
        self._poll = None

    def post(self, body: Body) -> None:
        """Take the packets of a POST. Raises BadPacket."""
        received = body.packets()
        self._home.limits.spend(self.address, len(received))
        for packet in received:
            self.receive(packet)

    # Websocket

    def probe(self, connection: Connection) -> None:
        """A websocket opened beside the polling: it is tried first."""
        if self._probe is not None or self._websocket is not None:
            connection.close()
            return
        self._probe, self._probed_at = connection, self._loop.time()
        connection.room = self.room
        connection.on_message = self._receive_probe
        connection.on_lost = self._probe_lost

    def _receive_probe(self, message: Incoming) -> None:
        assert self._probe is not None
        if message.start == b"2probe":
            self._is_probed = True
            self._probe.send_text(b"3probe")
            self._answer_poll([packets.NOOP])  # the client stops polling before it upgrades
        elif message.start == b"5":
            connection, self._probe, self._is_probed = self._probe, None, False
            self.use_websocket(connection)
            self._answer_poll([packets.NOOP])
            self._flush()
        else:
            self._probe.close()

    def _probe_lost(self) -> None:
        self._probe, self._is_probed = None, False

    def use_websocket(self, connection: Connection) -> None:
        """Send and receive there from now on."""
        self._websocket = connection
        connection.room = self.room
        connection.on_message = self._receive_message
        connection.on_lost = self.close

    def _receive_message(self, message: Incoming) -> None:
        with self.closing_on_bad_packets():
            self.receive(message)

    @contextlib.contextmanager
    def closing_on_bad_packets(self) -> Iterator[None]:
        """End the session when the client does not speak the protocol."""
        try:
            yield
        except BadPacket:
            self.close()

    # Both

    def receive(self, received: Incoming) -> None:
        """Take one packet. Raises BadPacket."""
        self._heard_at = self._loop.time()
        packet = received.start
        kind = packet[:1]
        if received.is_cut:
            self.client.refuse_unread(packet[1:], received.end)
        elif kind == packets.MESSAGE:
            self.client.receive(packet[1:])
        elif kind == packets.PING:
            self.send(packets.PONG, packet[1:])
        elif kind == packets.PONG:
            self._awaits_pong = False
        elif kind == packets.CLOSE:
            self.close()
        elif kind not in (packets.UPGRADE, packets.NOOP) and (kind != packets.BINARY or self.room.is_strict):
            raise BadPacket("unknown type")

    def beat(self, now: float) -> None:
        """Ping, or find that the client is dead."""
        if self._probe is not None and now - self._probed_at > _PROBE_S:
            self._probe.close()
        if now > self._join_by:
            self.close()
        elif self.protocol < 4:
            if now - self._heard_at > PING_EVERY_S + PING_TIMEOUT_S:
                self.close()
        elif self._awaits_pong:
            if now - self._pinged_at > PING_TIMEOUT_S:
                self.close()
        elif now - self._pinged_at > PING_EVERY_S:
            self._pinged_at, self._awaits_pong = now, True
            self.send(packets.PING)

    def close(self) -> None:
        """End the session; whatever it has open is closed."""
        if not self._is_open:
            return
        self._is_open = False
        self._home.forget(self)
        self.client.closed()
        self._answer_poll([*self._taken(), packets.CLOSE])
        for connection in (self._probe, self._websocket):
            if connection is not None:
                connection.on_lost = _nothing
                connection.on_message = _ignore
                connection.close()

    def abort(self) -> None:
        """End the session at once."""
        self.close()
        for connection in (self._probe, self._websocket):
            if connection is not None:
                connection.abort()


def _ignore(_message: Incoming) -> None:
    return None


def _nothing() -> None:
    return None
