"""Engine.IO 3 and 4 on the server's side: sessions over long polling, upgraded to a websocket when the client can.

Revision 4: the server pings, the client answers. Revision 3 (SDK 6 and 7, Swift): the other way round.
Source: github.com/socketio/engine.io-protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import msgspec

from messaging.realtime import packets
from messaging.realtime.connection import MAX_RECEIVED, MAX_UNSENT, Connection, Request
from messaging.realtime.packets import BadPacket

PING_EVERY_S = 25.0
PING_TIMEOUT_S = 20.0
_PROBE_S = 10.0
_TEXT, _JSON = "text/plain; charset=UTF-8", "application/json"
#: Engine.IO's error codes
_ERRORS = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    5: "Unsupported protocol version",
}


class Client(Protocol):
    """Who sits on a session."""

    def receive(self, message: bytes) -> None:
        """Take what followed the type of an Engine.IO message. Raises BadPacket."""

    def closed(self) -> None:
        """The session is over."""


class Session:
    """One client, over whichever transport it has now."""

    def __init__(self, engine: Engine, protocol: int, query: Mapping[str, str]) -> None:
        self.sid = secrets.token_urlsafe(15)
        self.protocol = protocol
        self.query = query
        self.client: Client
        self._engine = engine
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

    # Sending

    def send(self, *parts: bytes) -> None:
        """Send one packet made of these parts."""
        if self._websocket is not None:
            self._websocket.send_text(*parts)
            return
        packet = b"".join(parts)
        self._waiting.append(packet)
        self._waiting_bytes += len(packet)
        if self._waiting_bytes > MAX_UNSENT:
            self.close()
        elif not self._flush_is_coming:
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
            poll.answer(200, packets.encode_payload(answered, self.protocol), _TEXT)

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

    def post(self, body: bytes) -> None:
        """Take the packets of a POST. Raises BadPacket."""
        for packet in packets.decode_payload(body, self.protocol):
            self.receive(packet)

    # Websocket

    def probe(self, connection: Connection) -> None:
        """A websocket opened beside the polling: it is tried first."""
        if self._probe is not None or self._websocket is not None:
            connection.close()
            return
        self._probe, self._probed_at = connection, self._loop.time()
        connection.on_text = self._receive_probe
        connection.on_lost = self._probe_lost

    def _receive_probe(self, text: str) -> None:
        assert self._probe is not None
        if text == "2probe":
            self._is_probed = True
            self._probe.send_text(b"3probe")
            self._answer_poll([packets.NOOP])  # the client stops polling before it upgrades
        elif text == "5":
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
        connection.on_text = self._receive_text
        connection.on_lost = self.close

    def _receive_text(self, text: str) -> None:
        with self.closing_on_bad_packets():
            self.receive(text.encode(errors="replace"))

    @contextlib.contextmanager
    def closing_on_bad_packets(self) -> Iterator[None]:
        """End the session when the client does not speak the protocol."""
        try:
            yield
        except BadPacket:
            self.close()

    # Both

    def receive(self, packet: bytes) -> None:
        """Take one packet. Raises BadPacket."""
        self._heard_at = self._loop.time()
        kind = packet[:1]
        if kind == packets.MESSAGE:
            self.client.receive(packet[1:])
        elif kind == packets.PING:
            self.send(packets.PONG, packet[1:])
        elif kind == packets.PONG:
            self._awaits_pong = False
        elif kind == packets.CLOSE:
            self.close()
        elif kind not in (packets.UPGRADE, packets.NOOP):
            raise BadPacket("unknown type")

    def beat(self, now: float) -> None:
        """Ping, or find that the client is dead."""
        if self._probe is not None and now - self._probed_at > _PROBE_S:
            self._probe.close()
        if self.protocol < 4:
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
        self._engine.forget(self)
        self.client.closed()
        self._answer_poll([*self._taken(), packets.CLOSE])
        for connection in (self._probe, self._websocket):
            if connection is not None:
                connection.on_lost = _nothing
                connection.on_text = _ignore
                connection.close()


class Engine:
    """Every session of the process, and the requests that concern them."""

    def __init__(self, make_client: Callable[[Session, str], Client]) -> None:
        self._make_client = make_client  #: takes the session and the application id of its path
        self.sessions: dict[str, Session] = {}

    def handle(self, connection: Connection, request: Request) -> None:
        """Answer a request, or hold it."""
        if request.method == "OPTIONS":
            connection.answer(204, b"", _TEXT)
        elif request.query.keys().isdisjoint(("EIO", "transport")):
            self._plain(connection, request)
        elif _revision(request) not in ("3", "4"):
            _refuse(connection, 5)
        elif request.query.get("transport") not in ("polling", "websocket"):
            _refuse(connection, 0)
        elif "sid" in request.query:
            self._continue(connection, request)
        else:
            self._open(connection, request)

    def _plain(self, connection: Connection, request: Request) -> None:
        """`/health` for whoever starts this process; nothing else is here."""
        if request.path == "/health" and request.method in ("GET", "HEAD"):
            connection.answer(200, msgspec.json.encode({"sessions": len(self.sessions)}), _JSON)
        else:
            connection.answer(404, b'{"code":5904,"message":"There is nothing at this address."}', _JSON)

    def _open(self, connection: Connection, request: Request) -> None:
        over_websocket = request.query["transport"] == "websocket"
        if over_websocket is not request.wants_websocket:
            _refuse(connection, 3)
        elif request.method != "GET":
            _refuse(connection, 2)
        else:
            session = self._new_session(request)
            if over_websocket:
                connection.become_websocket(request)
                session.use_websocket(connection)
            for packet in self._greeting(session, can_upgrade=not over_websocket):
                session.send(packet)
            if not over_websocket:
                session.poll(connection)

    def _new_session(self, request: Request) -> Session:
        session = Session(self, int(_revision(request)), request.query)
        session.client = self._make_client(session, request.path.strip("/").partition("/")[0])
        self.sessions[session.sid] = session
        return session

    def _greeting(self, session: Session, *, can_upgrade: bool) -> list[bytes]:
        handshake = {
            "sid": session.sid,
            "upgrades": ["websocket"] if can_upgrade else [],
            "pingInterval": int(PING_EVERY_S * 1000),
            "pingTimeout": int(PING_TIMEOUT_S * 1000),
            "maxPayload": MAX_RECEIVED,
        }
        opened = packets.OPEN + msgspec.json.encode(handshake)
        # revision 3 is joined to the root namespace unasked
        return [opened] if session.protocol >= 4 else [opened, packets.MESSAGE + packets.CONNECT.encode()]

    def _continue(self, connection: Connection, request: Request) -> None:
        session = self.sessions.get(request.query["sid"])
        if session is None or str(session.protocol) != _revision(request):
            _refuse(connection, 1)
        elif request.wants_websocket:
            connection.become_websocket(request)
            session.probe(connection)
        elif request.query["transport"] == "websocket":
            _refuse(connection, 3)
        elif request.method == "GET":
            session.poll(connection)
        elif request.method == "POST":
            with session.closing_on_bad_packets():
                session.post(request.body)
            connection.answer(200, b"ok", _TEXT)
        else:
            _refuse(connection, 2)

    def beat(self) -> None:
        """Ping those whose turn it is and drop the dead; called every second."""
        now = asyncio.get_running_loop().time()
        for session in list(self.sessions.values()):
            session.beat(now)

    def forget(self, session: Session) -> None:
        """Called by a session that ends."""
        self.sessions.pop(session.sid, None)

    def close(self) -> None:
        """End every session."""
        for session in list(self.sessions.values()):
            session.close()


def _revision(request: Request) -> str:
    """socket.io-client-swift up to 15 speaks revision 3 without saying so."""
    return request.query.get("EIO", "3")


def _refuse(connection: Connection, code: int) -> None:
    connection.answer(400, msgspec.json.encode({"code": code, "message": _ERRORS[code]}), _JSON)


def _ignore(_text: str) -> None:
    return None


def _nothing() -> None:
    return None
