"""What one address may hold and do at a socket process, and what all addresses together may.

A stranger is a session that has not shown a right API key. Strangers are few and short-lived; whoever shows a key may
have many sessions, since a carrier or an office puts a thousand subscribers behind one address. What an address sends
beyond its rate is read later, not refused: an SDK would give a refused subscription up for ever.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from devices.addresses import network_of
from devices.errors import ServiceUnavailable, TooManyRequests
from devices.rates import Buckets, Rate, parse_rate

#: what looking a channel up in the database costs, in packets
CALL_COST = 10
#: strangers of all addresses, as a multiple of those of one
_ADDRESSES_OF_STRANGERS = 4
#: on average, over all sessions of an address; each takes about a kilobyte
_SUBSCRIPTIONS_A_SESSION = 20
_COME_BACK_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """As settings say; 0 and None are no bound."""

    connections: int = 10_000
    sessions: int = 2_000  #: of one address
    strangers: int = 1_500  #: of one address: a thousand come back at once when the process restarts
    opening: Rate | None = parse_rate("100/s burst 4000")  #: sessions an address opens
    packets: Rate | None = parse_rate("2000/s burst 200000")  #: requests and packets read from an address
    failures: Rate | None = parse_rate("30/min burst 120")  #: wrong keys from an address
    is_behind_proxy: bool = False
    request_s: float = 10.0  #: for a request to arrive whole
    join_s: float = 10.0  #: for a session to join its namespace, which SDKs do in the moment they are connected
    held: int = 256 * 1024 * 1024  #: bytes kept for all clients, sent or received; looked at every second


class Limits:
    """The counts of one process."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self.bounds = bounds
        self._connections: Counter[str] = Counter()
        self._connections_in_all = 0
        self._sessions: Counter[str] = Counter()
        self._strangers: Counter[str] = Counter()
        self._strangers_in_all = 0
        self._subscriptions: Counter[str] = Counter()
        self._opening, self._packets, self._failures = (
            rate and Buckets(rate, clock) for rate in (bounds.opening, bounds.packets, bounds.failures)
        )

    def client_of(self, peer: str, headers: Mapping[bytes, bytes]) -> str:
        """Who asks: behind a proxy the last entry of X-Forwarded-For, which the proxy wrote."""
        if self.bounds.is_behind_proxy:
            last = headers.get(b"x-forwarded-for", b"").decode("ascii", "replace").rpartition(",")[2].strip()
            try:
                return network_of(str(ip_address(last)))
            except ValueError:
                pass  # no proxy wrote one: a health check on the machine itself
        return network_of(peer)

    # Connections

    def enter(self, peer: str) -> None:
        """A connection was accepted; it counts until it leaves. Raises what it is refused with, and counts as well."""
        network, bounds = network_of(peer), self.bounds
        self._connections_in_all += 1
        self._connections[network] += 1
        if bounds.connections and self._connections_in_all > bounds.connections:
            raise ServiceUnavailable("This process has as many connections as it takes. Try again.")
        # two for each session: a poll and what it sends, or a poll and the websocket it is upgraded to
        most = min(2 * bounds.sessions or math.inf, bounds.connections // 2 or math.inf)
        if not bounds.is_behind_proxy and self._connections[network] > most:
            raise _too_many("connections", int(most))

    def leave(self, peer: str) -> None:
        """The connection is gone."""
        self._connections_in_all -= 1
        _take_one(self._connections, network_of(peer))

    # Sessions, which begin as strangers

    def admit(self, client: str) -> None:
        """A session begins, or raises TooManyRequests (5906)."""
        bounds = self.bounds
        if bounds.sessions and self._sessions[client] >= bounds.sessions:
            raise _too_many("sessions", bounds.sessions)
        if bounds.strangers and self._strangers[client] >= bounds.strangers:
            raise _too_many("sessions without a right key", bounds.strangers)
        if self._opening and (wait_s := self._opening.take(client)):
            seconds = max(1, math.ceil(wait_s))
            text = f"Too many new sessions from this address: {self._opening.rate.text} is the limit."
            raise TooManyRequests(f"{text} Try again in {seconds} s.", retry_after_s=seconds)
        self._sessions[client] += 1
        self._strangers[client] += 1
        self._strangers_in_all += 1

    @property
    def has_too_many_strangers(self) -> bool:
        """Whether one of them has to go."""
        most = self.bounds.strangers * _ADDRESSES_OF_STRANGERS
        return bool(most) and self._strangers_in_all > most

    def know(self, client: str) -> None:
        """A session of it has shown a right key."""
        self._strangers_in_all -= 1
        _take_one(self._strangers, client)

    def forget(self, client: str, *, was_stranger: bool) -> None:
        """A session of it has ended."""
        _take_one(self._sessions, client)
        if was_stranger:
            self.know(client)

    # Their subscriptions

    def check_subscriptions(self, client: str) -> None:
        """Raises TooManyRequests (5906) where the next would be one too many."""
        most = self.bounds.sessions * _SUBSCRIPTIONS_A_SESSION
        if most and self._subscriptions[client] >= most:
            raise _too_many("subscriptions", most)

    def subscribed(self, client: str) -> None:
        """It has one more."""
        self._subscriptions[client] += 1

    def unsubscribed(self, client: str) -> None:
        """It has one less."""
        _take_one(self._subscriptions, client)

    # What it sends

    def spend(self, client: str, packets: int = 1) -> None:
        """So much was read from it."""
        if self._packets:
            self._packets.spend(client, packets)

    def wait_s(self, client: str) -> float:
        """Seconds for which no more is read from it."""
        return self._packets.debt_s(client) if self._packets else 0.0

    def count_failure(self, client: str) -> None:
        """It showed a wrong key."""
        if self._failures:
            self._failures.take(client)

    def refuse_guessing(self, client: str) -> None:
        """Raises TooManyRequests (5906) where the next wrong key would be one too many."""
        if self._failures and (wait_s := self._failures.wait_s(client)):
            text = f"Too many wrong keys from this address: {self._failures.rate.text} is the limit."
            raise TooManyRequests(text, retry_after_s=max(1, math.ceil(wait_s)))


def _too_many(what: str, most: int) -> TooManyRequests:
    text = f"Too many {what} from this address: {most:,} is the limit. Try again in {_COME_BACK_S} s."
    return TooManyRequests(text, retry_after_s=_COME_BACK_S)


def _take_one(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
