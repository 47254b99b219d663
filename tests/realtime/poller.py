"""A client in Python that only polls."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.realtime.conftest import Live


@dataclass(slots=True)
class Poller:
    """A client that only polls."""

    live: Live
    protocol: int
    sid: str = ""
    key: str = ""
    application: str = ""  #: in the path, where that is not the one of `live`
    names_revision: bool = True

    def request(self, method: str, body: bytes | None = None, **query: object) -> tuple[int, str]:
        """Status and body of one request; the session's id goes with it once there is one."""
        parameters: dict[str, object] = {"transport": "polling", "apiKey": self.key or self.live.account.key, "t": "x"}
        if self.names_revision:
            parameters["EIO"] = self.protocol
        if self.sid:
            parameters["sid"] = self.sid
        path = f"/{self.application or self.live.application_id}/?{urlencode({**parameters, **query})}"
        connection = http.client.HTTPConnection("127.0.0.1", self.live.stack.socket_port, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": "text/plain;charset=UTF-8"})
            response = connection.getresponse()
            self.headers = response.headers
            return response.status, response.read().decode()
        finally:
            connection.close()

    headers: http.client.HTTPMessage | None = None

    def poll(self) -> str:
        """A GET's body."""
        status, body = self.request("GET")
        assert status == 200, body
        return body

    def post(self, body: str) -> None:
        """Send packets."""
        assert self.request("POST", body.encode()) == (200, "ok")

    @classmethod
    def joined(cls, live: Live, protocol: int, key: str = "") -> Poller:
        """One that has joined its application."""
        poller = cls(live, protocol, key=key)
        poller.sid = json.JSONDecoder().raw_decode("{" + poller.poll().partition("{")[2])[0]["sid"]
        poller.post_packets(f"40/{live.application_id},")
        poller.poll_until(f"40/{live.application_id},")
        return poller

    def event(self, name: str, argument: object) -> str:
        """A packet."""
        return f"42/{self.live.application_id}," + json.dumps([name, argument], ensure_ascii=False)

    def post_packets(self, *packets: str) -> None:
        """Send them by one request."""
        if self.protocol >= 4:
            self.post("\x1e".join(packets))
        else:
            self.post("".join(f"{len(packet.encode('utf-16-le')) // 2}:{packet}" for packet in packets))

    def poll_until(self, *awaited: str) -> str:
        """All that came until these had come."""
        heard = ""
        while not all(text in heard for text in awaited):
            heard += self.poll()
        return heard
