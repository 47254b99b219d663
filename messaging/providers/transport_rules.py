"""What the transport keeps to: limits, deadlines, and the addresses that may be connected to."""

from __future__ import annotations

from dataclasses import dataclass

from devices.push_urls import is_public_address

#: Answers are verdicts of a few hundred bytes; a hostile endpoint may send gigabytes (CVE-2025-53604).
BODY_LIMIT = 8192
#: An idle connection to a host we chose is kept this long: APNs takes rapid reconnects for an attack.
IDLE_CONNECTION_S = 3600
#: In HTTP/1.1 nothing tells whether a request that met the server's farewell was processed. Apache and Node leave
#: after 5 s, so a connection that was idle for longer than this is not used again.
HTTP1_IDLE_S = 4
#: A connection carries one request at a time: as many as browsers open to a host.
HTTP1_CONNECTIONS = 6
CONNECT_TIMEOUT_S = 10.0
#: A request that a server refused unprocessed (GOAWAY, REFUSED_STREAM) is sent again at once, this often.
MAX_REFUSALS = 3
USER_AGENT = "Clarion"
_LOOPBACK = frozenset({"127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportRules:
    """How connections are made and how much goes over them."""

    ca_file: str | None = None  #: PEM file that replaces the system's trust store
    allow_loopback: bool = False  #: simulators only: loopback addresses may be connected to
    deadline_s: float = 15.0  #: connect, send and answer together
    max_connections: int = 2  #: per origin; up to twice as many while old ones drain
    streams_per_connection: int = 100  #: further bounded by the server's SETTINGS
    warm_up: bool = False  #: one request alone until its answer came: APNs grants one stream before a valid token
    http1: bool = False  #: a server that does not speak HTTP/2 is spoken to in HTTP/1.1

    @property
    def connect_timeout_s(self) -> float:
        """How long a connection may take to be ready for requests."""
        return min(CONNECT_TIMEOUT_S, self.deadline_s)

    def allows(self, address: str) -> bool:
        """Whether a connection to this IP address may be opened."""
        return is_public_address(address) or (self.allow_loopback and address in _LOOPBACK)
