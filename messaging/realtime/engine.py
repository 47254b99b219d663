"""Engine.IO 3 and 4 on the server's side: sessions over long polling, upgraded to a websocket when the client can.

Revision 4: the server pings, the client answers. Revision 3 (SDK 6 and 7, Swift): the other way round.
Source: github.com/socketio/engine.io-protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from devices.errors import ApiError, NotFound
from messaging.realtime import packets
from messaging.realtime.connection import Connection
from messaging.realtime.exchange import JSON, Request
from messaging.realtime.incoming import ROOM, ROOM_OF_ARRIVING, Body
from messaging.realtime.limits import Limits
from messaging.realtime.session import PING_EVERY_S, PING_TIMEOUT_S, TEXT, Client, Session

#: Engine.IO's error codes
_ERRORS = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    5: "Unsupported protocol version",
}


class Engine:
    """Every session of the process, and the requests that concern them."""

    def __init__(self, make_client: Callable[[Session, str], Client], limits: Limits) -> None:
        self._make_client = make_client  #: takes the session and the application id of its path
        self.limits = limits
        self.sessions: dict[str, Session] = {}
        #: strangers in the order in which they began: without a namespace so far, and with one
        self._arriving: dict[Session, None] = {}
        self._refused: dict[Session, None] = {}

    def handle(self, connection: Connection, request: Request) -> None:
        """Answer a request, or hold it."""
        if request.method == "OPTIONS":
            connection.answer(204, b"", TEXT)
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
            connection.answer(200, msgspec.json.encode({"sessions": len(self.sessions)}), JSON)
        else:
            connection.refuse(NotFound())

    def _open(self, connection: Connection, request: Request) -> None:
        over_websocket = request.query["transport"] == "websocket"
        if over_websocket is not request.wants_websocket:
            _refuse(connection, 3)
        elif request.method != "GET":
            _refuse(connection, 2)
        else:
            try:
                session = self._new_session(request)
            except ApiError as error:
                connection.refuse(error)
            else:
                self._greet(session, connection, request)

    def _greet(self, session: Session, connection: Connection, request: Request) -> None:
        over_websocket = request.wants_websocket
        if over_websocket:
            connection.become_websocket(request)
            session.use_websocket(connection)
        for packet in self._greeting(session, can_upgrade=not over_websocket):
            session.send(packet)
        if not over_websocket:
            session.poll(connection)

    def _new_session(self, request: Request) -> Session:
        """Raises TooManyRequests (5906)."""
        if self.limits.has_too_many_strangers:
            self._make_room()
        self.limits.admit(request.client)
        session = Session(self, int(_revision(request)), request)
        session.client = self._make_client(session, request.path.strip("/").partition("/")[0])
        self.sessions[session.sid] = session
        self._arriving[session] = None
        return session

    def _make_room(self) -> None:
        """For whoever comes now. SDKs join at once: who has not goes before those with wrong keys, oldest first."""
        next(iter(self._arriving or self._refused)).close()

    def _greeting(self, session: Session, *, can_upgrade: bool) -> list[bytes]:
        handshake = {
            "sid": session.sid,
            "upgrades": ["websocket"] if can_upgrade else [],
            "pingInterval": int(PING_EVERY_S * 1000),
            "pingTimeout": int(PING_TIMEOUT_S * 1000),
            "maxPayload": ROOM.kept,
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
        elif request.method == "POST" and request.body is not None:
            with session.closing_on_bad_packets():
                session.post(request.body)
            connection.answer(200, b"ok", TEXT)
        else:
            _refuse(connection, 2)

    def body_of(self, request: Request) -> Body:
        """What takes the body of a request."""
        session = self.sessions.get(request.query.get("sid", ""))
        return Body(4, ROOM_OF_ARRIVING) if session is None else Body(session.protocol, session.room)

    def beat(self) -> None:
        """Ping those whose turn it is and drop the dead; called every second."""
        now = asyncio.get_running_loop().time()
        for session in list(self.sessions.values()):
            session.beat(now)

    def joined(self, session: Session) -> None:
        """Called by a session that joined its namespace."""
        del self._arriving[session]
        self._refused[session] = None

    def know(self, session: Session) -> None:
        """Called by a session that showed a right key, after it joined."""
        del self._refused[session]
        self.limits.know(session.address)

    def forget(self, session: Session) -> None:
        """Called by a session that ends."""
        del self.sessions[session.sid]
        self._arriving.pop(session, None)
        self._refused.pop(session, None)
        self.limits.forget(session.address, was_stranger=session.is_stranger)

    def close(self) -> None:
        """End every session."""
        for session in list(self.sessions.values()):
            session.close()


def _revision(request: Request) -> str:
    """socket.io-client-swift up to 15 speaks revision 3 without saying so."""
    return request.query.get("EIO", "3")


def _refuse(connection: Connection, code: int) -> None:
    connection.answer(400, msgspec.json.encode({"code": code, "message": _ERRORS[code]}), JSON)
