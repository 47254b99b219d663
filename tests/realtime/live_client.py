"""A live subscriber in Python: Engine.IO over a websocket, with wsproto's frames on the client's side."""

from __future__ import annotations

import itertools
import json
import socket
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

from wsproto import WSConnection
from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection, CloseConnection, Event, Ping, Request, TextMessage

_ids = itertools.count(1)


class LiveClient:
    """One connection, joined to its application's namespace."""

    source = "127.0.0.1"  #: the address it comes from

    def __init__(self, url: str, application_id: str, key: str, *, protocol: int = 4, user_token: str = "null") -> None:
        self.namespace = f"/{application_id}"
        self._protocol = protocol
        self._texts: list[str] = []
        self._fragments: list[str] = []
        self.is_open = True
        target = urlsplit(url)
        self.socket = socket.create_connection((target.hostname, target.port), 10, (self.source, 0))
        self._frames = WSConnection(ConnectionType.CLIENT)
        query = {"apiKey": key, "clientId": "test", "userToken": user_token}
        transport = {"EIO": protocol, "transport": "websocket"}
        path = f"{self.namespace}/?{urlencode({**query, **transport})}"
        self.socket.sendall(self._frames.send(Request(host=target.netloc, target=path)))
        self._join()

    def _join(self) -> None:
        assert self.next_packet().startswith("0{")
        if self._protocol < 4:
            assert self.next_packet() == "40"
        self.send(f"40{self.namespace},")
        assert self.next_packet().startswith(f"40{self.namespace},")

    def send(self, text: str) -> None:
        """Send one packet."""
        self.socket.sendall(self._frames.send(TextMessage(data=text)))

    def call(self, event: str, name: str = "", call_id: str = "", **options: object) -> str:
        """Send SUB_ON, SUB_OFF or MET_REQ; the id it went with."""
        call_id = call_id or f"call-{next(_ids)}"
        self.call_with(event, {"id": call_id, "name": name, "options": options})
        return call_id

    def call_with(self, event: str, argument: object) -> None:
        """Send an event with this argument, whatever it is."""
        self.send(f"42{self.namespace}," + json.dumps([event, argument], ensure_ascii=False))

    def subscribe(self, kind: str, channel: str = "default", **options: object) -> str:
        """SUB_ON PUB_SUB_<kind>, ready when this returns; its id."""
        call_id = self.call("SUB_ON", f"PUB_SUB_{kind}", "", channel=channel, **options)
        assert self.next_event() == ("SUB_READY", {"id": call_id})
        return call_id

    def next_event(self, timeout_s: float = 10) -> tuple[str, dict[str, Any]]:
        """The next event and its argument."""
        prefix = f"42{self.namespace},"
        while True:
            text = self.next_packet(timeout_s)
            if text.startswith(prefix):
                name, argument = json.loads(text.removeprefix(prefix))
                return name, argument

    def next_content(self, timeout_s: float = 10) -> Any:
        """What the next SUB_RES carries."""
        name, argument = self.next_event(timeout_s)
        assert name == "SUB_RES", (name, argument)
        return argument["data"]

    def is_silent(self, seconds: float = 0.5) -> bool:
        """Whether no event comes for so long."""
        try:
            self.next_event(seconds)
        except TimeoutError:
            return True
        return False

    def next_packet(self, timeout_s: float = 10) -> str:
        """The next Engine.IO packet."""
        give_up_at = time.monotonic() + timeout_s
        while not self._texts:
            self.socket.settimeout(max(0.001, give_up_at - time.monotonic()))
            received = self.socket.recv(65_536)
            if not received:
                raise ConnectionError("the server closed the connection")
            self._frames.receive_data(received)
            for event in self._frames.events():
                self._take(event)
        return self._texts.pop(0)

    def _take(self, event: Event) -> None:
        assert isinstance(event, AcceptConnection | TextMessage | Ping | CloseConnection), event
        if isinstance(event, TextMessage):
            self._fragments.append(event.data)
            if event.message_finished:
                text, self._fragments = "".join(self._fragments), []
                self._take_packet(text)

    def _take_packet(self, text: str) -> None:
        if text == "2" and self._protocol >= 4:
            self.send("3")
        else:
            self._texts.append(text)

    def wait_until_closed(self, timeout_s: float = 10) -> None:
        """Read until the server ends the connection."""
        try:
            while True:
                self.next_packet(timeout_s)
        except ConnectionError:
            self.is_open = False

    def close(self) -> None:
        """Leave without a word."""
        self.socket.close()
