"""Who listens to what in this process, and giving it to them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from messaging.realtime import packets
from messaging.realtime.selectors import predicate_of

#: deliveries between two looks at other work; at 10 us each the loop is never held longer than 5 ms
_TURN = 500


class Kind(Enum):
    """What can be listened to; values are the names of the wire."""

    CONNECT = "PUB_SUB_CONNECT"
    MESSAGES = "PUB_SUB_MESSAGES"
    COMMANDS = "PUB_SUB_COMMANDS"
    USERS = "PUB_SUB_USERS"


@dataclass(frozen=True, slots=True)
class Place:
    """A channel of an application."""

    application_pk: int
    channel_name: str


class Receiver(Protocol):
    """Where deliveries go: a session, over whichever transport."""

    def send(self, *parts: bytes) -> None:
        """Send one packet made of these parts, without waiting."""


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    """One SUB_ON that was accepted."""

    id: str  #: the client's
    kind: Kind
    place: Place
    selector: str  #: "" for every message
    receiver: Receiver
    head: bytes  #: what every packet to it begins with

    def send(self, tail: bytes) -> None:
        """Deliver content, as `packets.subscription_tail` made it."""
        self.receiver.send(self.head, tail)


class Hub:
    """The subscriptions of one process, by what they are for."""

    def __init__(self) -> None:
        #: per topic, subscriptions of the same selector together: it is judged once for all of them
        self._topics: dict[tuple[Kind, Place], dict[str, dict[Subscription, None]]] = {}

    def add(self, subscription: Subscription) -> None:
        """Deliver to it from now on."""
        groups = self._topics.setdefault((subscription.kind, subscription.place), {})
        groups.setdefault(subscription.selector, {})[subscription] = None

    def remove(self, subscription: Subscription) -> None:
        """Deliver to it no more."""
        topic = (subscription.kind, subscription.place)
        groups = self._topics[topic]
        groups[subscription.selector].pop(subscription)
        if not groups[subscription.selector]:
            del groups[subscription.selector]
        if not groups:
            del self._topics[topic]

    def has(self, kind: Kind, place: Place) -> bool:
        """Whether anybody listens."""
        return (kind, place) in self._topics

    def tell(self, kind: Kind, place: Place, tail: bytes) -> None:
        """Give what `packets.subscription_tail` made to everybody there, at once."""
        for group in list(self._topics.get((kind, place), {}).values()):  # who is too slow leaves at once
            for subscription in list(group):
                subscription.send(tail)

    async def deliver(self, kind: Kind, place: Place, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Give JSON to everybody who wants it; `headers` decides where there are selectors."""
        tail = packets.subscription_tail(content)
        count = 0
        for selector, group in list(self._topics.get((kind, place), {}).items()):
            if selector and not predicate_of(selector)(headers or {}):
                continue
            for subscription in list(group):
                if subscription in group:  # not gone while others had their turn
                    subscription.send(tail)
                count += 1
                if count % _TURN == 0:
                    await asyncio.sleep(0)
