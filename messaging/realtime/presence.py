"""Who is connected to which channel, over all socket processes: each tells the others by the bus what it has.

There is no table to clean up: a process that falls silent is forgotten with everybody on it, and one that starts
asks the others for theirs.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

from messaging.realtime import packets
from messaging.realtime.hub import Hub, Kind, Place
from messaging.realtime.peer_events import Arrival, Change, News, PeerMessage, Roster

BEAT_EVERY_S = 5.0
_SILENT_S = 20.0
#: news are told together: after a restart a thousand clients are back within a second
_GATHER_S = 0.02


@dataclass(frozen=True, slots=True)
class Person:
    """One connection that joined a channel."""

    connection_id: str
    user_id: str | None

    def wire(self) -> dict[str, object]:
        """As in PUB_SUB_USERS (contract.md 6)."""
        return {"connectionId": self.connection_id, "userId": self.user_id}


@dataclass(slots=True)
class _Process:
    heard_at: float
    people: dict[Place, dict[str, Person]] = field(default_factory=dict)

    def pairs(self) -> list[tuple[Place, Person]]:
        return [(place, person) for place, people in self.people.items() for person in people.values()]


class Presence:
    """What this process knows of all of them, itself included."""

    def __init__(self, hub: Hub, tell: Callable[[PeerMessage], Awaitable[None]]) -> None:
        self._hub = hub
        self._tell = tell
        self._name = secrets.token_hex(8)
        self._own = _Process(0.0)
        self._others: dict[str, _Process] = {}
        self._news: list[Change] = []
        self._has_news = asyncio.Event()

    # What happens here

    def join(self, place: Place, person: Person) -> None:
        """Somebody connected, or became another user."""
        self._arrived(self._own, place, person)
        self._say(place, person, is_here=True)

    def leave(self, place: Place, person: Person) -> None:
        """Somebody disconnected."""
        self._left(self._own, place, person)
        self._say(place, person, is_here=False)

    def _say(self, place: Place, person: Person, *, is_here: bool) -> None:
        self._news.append(Change(_arrival(place, person), is_here))
        self._has_news.set()

    async def tell_news(self) -> None:
        """Pass on what happened here; runs for ever."""
        while True:
            await self._has_news.wait()
            await asyncio.sleep(_GATHER_S)
            self._has_news.clear()
            news, self._news = self._news, []
            await self._tell(News(self._name, news))

    async def beat(self) -> None:
        """Show that this process lives and forget those that do not; runs for ever."""
        while True:
            await asyncio.sleep(BEAT_EVERY_S)
            await self._tell(News(self._name, []))
            for name, process in list(self._others.items()):
                if time.monotonic() - process.heard_at > _SILENT_S:
                    self._replace(process, [])
                    del self._others[name]

    async def introduce(self) -> None:
        """Tell all that is here, and ask the others for theirs: listening begins."""
        await self._tell(Roster(self._name, self._all_here(), asks=True))

    def goodbye(self) -> Roster:
        """What to tell the others when this process ends."""
        return Roster(self._name, [], ends=True)

    def _all_here(self) -> list[Arrival]:
        return [_arrival(place, person) for place, person in self._own.pairs()]

    # What is heard

    async def hear(self, heard: News | Roster) -> None:
        """Take what a process told."""
        if heard.process == self._name:
            return
        process = self._others.setdefault(heard.process, _Process(0.0))
        process.heard_at = time.monotonic()
        if isinstance(heard, News):
            for change in heard.changes:
                (self._arrived if change.is_here else self._left)(process, *_person(change.who))
            return
        self._replace(process, [_person(arrival) for arrival in heard.arrivals])
        if heard.ends:
            del self._others[heard.process]
        if heard.asks:
            await self._tell(Roster(self._name, self._all_here()))

    def _replace(self, process: _Process, there: list[tuple[Place, Person]]) -> None:
        present = {(place, person.connection_id) for place, person in there}
        for place, person in process.pairs():
            if (place, person.connection_id) not in present:
                self._left(process, place, person)
        for place, person in there:
            self._arrived(process, place, person)

    def _arrived(self, process: _Process, place: Place, person: Person) -> None:
        people = process.people.setdefault(place, {})
        before = people.get(person.connection_id)
        people[person.connection_id] = person
        if before != person:
            self._announce(place, "CONNECTED" if before is None else "USERUPDATE", person)

    def _left(self, process: _Process, place: Place, person: Person) -> None:
        people = process.people.get(place, {})
        if people.pop(person.connection_id, None) is not None:
            if not people:
                del process.people[place]
            self._announce(place, "DISCONNECTED", person)

    def _announce(self, place: Place, status: str, person: Person) -> None:
        if self._hub.has(Kind.USERS, place):
            self._hub.tell(Kind.USERS, place, packets.subscription_tail(status_event(status, [person])))

    def listing(self, place: Place) -> bytes:
        """Everybody on a channel, as JSON."""
        processes = [self._own, *self._others.values()]
        return status_event("LISTING", [one for process in processes for one in process.people.get(place, {}).values()])


def status_event(status: str, people: list[Person]) -> bytes:
    """`{"status", "data": [{"connectionId", "userId"}]}` (contract.md 6)."""
    return msgspec.json.encode({"status": status, "data": [person.wire() for person in people]})


def _person(arrival: Arrival) -> tuple[Place, Person]:
    place = Place(arrival.application_pk, arrival.channel_name)
    return place, Person(arrival.connection_id, arrival.user_id)


def _arrival(place: Place, person: Person) -> Arrival:
    return Arrival(place.application_pk, place.channel_name, person.connection_id, person.user_id)
