"""Who is connected to which channel, over all socket processes: each tells the others by the bus what it has.

There is no table to clean up: a process that falls silent is forgotten with everybody on it, and one that starts
asks the others for theirs.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

from messaging.realtime.hub import Hub, Kind, Place
from messaging.realtime.peer_events import Arrival, Change, News, PeerMessage, Roster

BEAT_EVERY_S = 5.0
_SILENT_S = 20.0


@dataclass(frozen=True, slots=True)
class Person:
    """One connection that joined a channel."""

    connection_id: str
    user_id: str | None

    def wire(self) -> dict[str, object]:
        """As in PUB_SUB_USERS (contract.md 6)."""
        return {"connectionId": self.connection_id, "userId": self.user_id}


PeopleByPlace = dict[Place, dict[str, Person]]


@dataclass(slots=True)
class _Process:
    heard_at: float = 0.0
    roster: PeopleByPlace = field(default_factory=dict)


class Presence:
    """What this process knows of all of them, itself included: its own news too come back over the bus."""

    def __init__(self, hub: Hub, tell: Callable[[PeerMessage], Awaitable[None]]) -> None:
        self._hub = hub
        self._tell = tell
        self.name = secrets.token_hex(8)
        self._own: PeopleByPlace = {}
        self._processes: dict[str, _Process] = {}
        self._news: list[Change] = []
        self._has_news = asyncio.Event()

    # What happens here

    def join(self, place: Place, person: Person) -> None:
        """Somebody connected, or became another user."""
        self._own.setdefault(place, {})[person.connection_id] = person
        self._say(place, person, is_here=True)

    def leave(self, place: Place, connection_id: str) -> None:
        """Somebody disconnected."""
        person = self._own.get(place, {}).pop(connection_id, None)
        if person is not None:
            if not self._own[place]:
                del self._own[place]
            self._say(place, person, is_here=False)

    def _say(self, place: Place, person: Person, *, is_here: bool) -> None:
        self._news.append(Change(_arrival(place, person), is_here))
        self._has_news.set()

    async def tell_news(self) -> None:
        """Pass on what happened here, together for all that happened meanwhile; runs for ever."""
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            news, self._news = self._news, []
            await self._tell(News(self.name, news))

    async def beat(self) -> None:
        """Show that this process lives and forget those that do not; runs for ever."""
        while True:
            await asyncio.sleep(BEAT_EVERY_S)
            await self._tell(News(self.name, []))
            await self._forget_silent()

    async def introduce(self) -> None:
        """Tell all that is here, and ask the others for theirs: listening began."""
        await self._tell(Roster(self.name, self._all_here(), asks=True))

    def goodbye(self) -> Roster:
        """What to tell the others when this process ends."""
        return Roster(self.name, [], ends=True)

    def _all_here(self) -> list[Arrival]:
        return [_arrival(place, person) for place, people in self._own.items() for person in people.values()]

    # What is heard

    async def hear(self, heard: News | Roster) -> None:
        """Take what a process told."""
        process = self._processes.setdefault(heard.process, _Process())
        process.heard_at = asyncio.get_running_loop().time()
        if isinstance(heard, News):
            for change in heard.changes:
                await (self._arrived if change.is_here else self._left)(process, *_person(change.who))
            return
        await self._replace(process, [_person(arrival) for arrival in heard.arrivals])
        if heard.ends:
            self._processes.pop(heard.process, None)
        if heard.asks and heard.process != self.name:
            await self._tell(Roster(self.name, self._all_here()))

    async def _replace(self, process: _Process, there: list[tuple[Place, Person]]) -> None:
        present = {(place, person.connection_id) for place, person in there}
        for place, people in list(process.roster.items()):
            for person in list(people.values()):
                if (place, person.connection_id) not in present:
                    await self._left(process, place, person)
        for place, person in there:
            await self._arrived(process, place, person)

    async def _arrived(self, process: _Process, place: Place, person: Person) -> None:
        people = process.roster.setdefault(place, {})
        before = people.get(person.connection_id)
        if before != person:
            people[person.connection_id] = person
            await self._announce(place, "CONNECTED" if before is None else "USERUPDATE", [person])

    async def _left(self, process: _Process, place: Place, person: Person) -> None:
        people = process.roster.get(place, {})
        if people.pop(person.connection_id, None) is not None:
            if not people:
                del process.roster[place]
            await self._announce(place, "DISCONNECTED", [person])

    async def _forget_silent(self) -> None:
        now = asyncio.get_running_loop().time()
        for name, process in list(self._processes.items()):
            if now - process.heard_at > _SILENT_S:
                await self._replace(process, [])
                self._processes.pop(name, None)

    async def _announce(self, place: Place, status: str, people: list[Person]) -> None:
        if self._hub.has(Kind.USERS, place):
            await self._hub.deliver(Kind.USERS, place, status_event(status, people))

    def listing(self, place: Place) -> bytes:
        """Everybody on a channel, as JSON."""
        everybody = {
            connection_id: person
            for process in self._processes.values()
            for connection_id, person in process.roster.get(place, {}).items()
        }
        # what is here may not have come back over the bus yet
        return status_event("LISTING", list({**everybody, **self._own.get(place, {})}.values()))


def status_event(status: str, people: list[Person]) -> bytes:
    """`{"status", "data": [{"connectionId", "userId"}]}` (contract.md 6)."""
    return msgspec.json.encode({"status": status, "data": [person.wire() for person in people]})


def _person(arrival: Arrival) -> tuple[Place, Person]:
    place = Place(arrival.application_pk, arrival.channel_name)
    return place, Person(arrival.connection_id, arrival.user_id)


def _arrival(place: Place, person: Person) -> Arrival:
    return Arrival(place.application_pk, place.channel_name, person.connection_id, person.user_id)
