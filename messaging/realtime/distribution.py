"""From the bus to whom it concerns: loads announced messages once, hands commands and news on, in order."""

from __future__ import annotations

import asyncio
import logging
import time

import psycopg

from messaging.realtime import bus, live_message
from messaging.realtime.bus import Announcement, BusEvent, Listening, PeerEvent
from messaging.realtime.database_thread import DatabaseThread
from messaging.realtime.hub import Hub, Kind, Place
from messaging.realtime.live_message import LiveMessage
from messaging.realtime.peer_events import Command, PeerMessage
from messaging.realtime.presence import Presence

logger = logging.getLogger(__name__)

_LISTEN_AGAIN_S = 0.5
#: a lost connection shows at once when the server ends it, and by the next question when the network does
_DEAF_BEFORE_S = 25.0
#: occurrences a gap is checked against
_REMEMBERED = 20_000


class Distribution:
    """The bus of one process."""

    def __init__(self, database: DatabaseThread, hub: Hub, presence: Presence) -> None:
        self._database = database
        self._hub = hub
        self._presence = presence
        self._heard: asyncio.Queue[BusEvent] = asyncio.Queue()
        self._deaf_since: float | None = None
        self._delivered: dict[int, None] = {}  #: occurrences, in the order of their delivery

    async def listen(self) -> None:
        """Hear the bus, for ever: a restart of PostgreSQL is a pause."""
        while True:
            try:
                async for event in bus.listen():
                    self._heard.put_nowait(event)
            except (psycopg.Error, TimeoutError) as error:
                logger.warning("the bus is away: %s", type(error).__name__)
                self._deaf_since = self._deaf_since or time.monotonic()
            await asyncio.sleep(_LISTEN_AGAIN_S)

    async def distribute(self) -> None:
        """Give what was heard to whom it concerns, in the order in which it was said."""
        while True:
            events = [await self._heard.get()]
            while not self._heard.empty():
                events.append(self._heard.get_nowait())
            for event in events:
                if isinstance(event, Listening):
                    await self._catch_up()
            messages = await self._load([event for event in events if isinstance(event, Announcement)])
            for event in events:
                if isinstance(event, Announcement):
                    await self._deliver(event, messages)
                elif isinstance(event, PeerEvent):
                    await self._hear_peer(event.message)

    async def _catch_up(self) -> None:
        """Show what is here, and deliver what was announced while nobody listened."""
        await self._presence.introduce()
        if self._deaf_since is not None:
            seconds = time.monotonic() - self._deaf_since + _DEAF_BEFORE_S
            self._deaf_since = None
            announced = await self._database.ask_until_answered(live_message.announced_within, seconds)
            messages = await self._load(announced)
            for announcement in announced:
                await self._deliver(announcement, messages)

    async def _load(self, announced: list[Announcement]) -> dict[int, LiveMessage]:
        """The messages somebody here waits for, in one query."""
        wanted = [event.occurrence_pk for event in announced if self._hub.has(Kind.MESSAGES, _place(event))]
        return await self._database.ask_until_answered(live_message.load, wanted) if wanted else {}

    async def _deliver(self, announced: Announcement, messages: dict[int, LiveMessage]) -> None:
        """Once: after a gap, what was heard just before it is found again."""
        pk = announced.occurrence_pk
        if pk in self._delivered:
            return
        self._delivered[pk] = None
        if len(self._delivered) > _REMEMBERED:
            del self._delivered[next(iter(self._delivered))]
        if pk in messages:
            message = messages[pk]
            await self._hub.deliver(Kind.MESSAGES, _place(announced), message.encoded, message.headers)

    async def _hear_peer(self, message: PeerMessage) -> None:
        if isinstance(message, Command):
            place = Place(message.application_pk, message.channel_name)
            await self._hub.deliver(Kind.COMMANDS, place, bytes(message.content))
        else:
            await self._presence.hear(message)


def _place(event: Announcement) -> Place:
    return Place(event.application_pk, event.channel_name)
