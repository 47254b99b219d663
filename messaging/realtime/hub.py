"""Who listens to what in this process, and giving it to them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from messaging.realtime import packets
from messaging.realtime.selectors import Predicate, predicate_of

#: seconds between two looks at other work: deliveries and selectors cost what their clients made them cost
_TURN_S = 0.005


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


@dataclass(frozen=True, slots=True)
class _Group:
    """The subscriptions of one topic with the same selector: it is judged once for all of them."""

    #: None for every message; kept here, since `predicate_of` remembers fewer than one topic may have
    wanted: Predicate | None
    members: dict[Subscription, None] = field(default_factory=dict)

    def wants(self, headers: Mapping[str, str]) -> bool:
        return self.wanted is None or self.wanted(headers)


class _Turns:
    """Lets others work whenever this work has had the loop for its turn."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._ends_at = self._clock() + _TURN_S

    async def pause_if_over(self) -> None:
        if self._clock() >= self._ends_at:
            await asyncio.sleep(0)
            self._ends_at = self._clock() + _TURN_S


class Hub:
    """The subscriptions of one process, by what they are for."""

    def __init__(self) -> None:
        self._topics: dict[tuple[Kind, Place], dict[str, _Group]] = {}  #: per topic, by selector

    def add(self, subscription: Subscription) -> None:
        """Deliver to it from now on."""
        groups = self._topics.setdefault((subscription.kind, subscription.place), {})
        selector = subscription.selector
        if selector not in groups:
            groups[selector] = _Group(predicate_of(selector) if selector else None)
        groups[selector].members[subscription] = None

    def remove(self, subscription: Subscription) -> None:
        """Deliver to it no more."""
        topic = (subscription.kind, subscription.place)
        groups = self._topics[topic]
        members = groups[subscription.selector].members
        del members[subscription]
        if not members:
            del groups[subscription.selector]
        if not groups:
            del self._topics[topic]

    def has(self, kind: Kind, place: Place) -> bool:
        """Whether anybody listens."""
        return (kind, place) in self._topics

    def tell(self, kind: Kind, place: Place, tail: bytes) -> None:
        """Give what `packets.subscription_tail` made to everybody there, at once."""
        for group in list(self._topics.get((kind, place), {}).values()):  # who is too slow leaves at once
            for subscription in list(group.members):
                subscription.send(tail)

    async def deliver(self, kind: Kind, place: Place, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Give JSON to everybody who wants it; `headers` decides where there are selectors."""
        tail, turns = packets.subscription_tail(content), _Turns()
        for group in list(self._topics.get((kind, place), {}).values()):
            if group.wants(headers or {}):
                for subscription in list(group.members):
                    if subscription in group.members:  # not gone while others had their turn
                        subscription.send(tail)
                    await turns.pause_if_over()
            await turns.pause_if_over()
