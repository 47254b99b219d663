"""The socket process: connections in front, the bus behind. Any number may run; each hears everything."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import DatabaseError

from devices.api_keys import Caller, authenticate
from messaging.realtime import bus, live_message
from messaging.realtime.bus import Announcement, BusEvent, PeerEvent, Reconnected
from messaging.realtime.connection import IDLE_S, Connection
from messaging.realtime.database_thread import DatabaseThread
from messaging.realtime.engine import Engine
from messaging.realtime.hub import Hub, Kind, Place
from messaging.realtime.live_message import LiveMessage
from messaging.realtime.peer_events import Command, PeerMessage
from messaging.realtime.presence import Presence
from messaging.realtime.subscriber import Services, Subscriber

logger = logging.getLogger(__name__)

#: connections the kernel may hold until they are accepted: after a restart everybody comes back within 30 ms
_BACKLOG = 4096
_LISTEN_AGAIN_S = 0.5
_STOP_S = 3.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a socket process listens; port 0 for any."""

    host: str
    port: int


class SocketServer:
    """One process's sockets."""

    def __init__(self) -> None:
        self._database = DatabaseThread("database")
        self._hub = Hub()
        self._presence = Presence(self._hub, self._tell)
        services = Services(self._hub, self._presence, self._authenticate, self._tell, self._run_in_background)
        self._engine = Engine(lambda session, application_id: Subscriber(services, session, application_id))
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard: asyncio.Queue[BusEvent] = asyncio.Queue()

    async def run(self, address: Address, started: Callable[[int], None], stop: Awaitable[object]) -> None:
        """Serve until `stop` is done; `started` is told the port. Raises OSError when the port is taken."""
        _allow_many_connections()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Connection(self._engine.handle, self._connections), address.host, address.port, backlog=_BACKLOG
        )
        for work in (self._listen(), self._distribute(), self._keep_time(), *self._presence_work()):
            self._run_in_background(work)
        started(server.sockets[0].getsockname()[1])
        try:
            await stop
        finally:
            server.close()
            await self._end()

    def _presence_work(self) -> tuple[Coroutine[Any, Any, None], ...]:
        return self._presence.tell_news(), self._presence.beat()

    async def _end(self) -> None:
        self._engine.close()
        try:
            async with asyncio.timeout(_STOP_S):
                await self._database.ask(bus.tell_peers, self._presence.goodbye())
        except (TimeoutError, DatabaseError):
            logger.warning("the other processes will miss this one only after a while")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._database.close()

    def _run_in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task of the socket process failed", exc_info=error)

    # The database

    async def _authenticate(self, application_id: str, key: str) -> Caller:
        return await self._database.ask_until_answered(authenticate, application_id, key)

    async def _tell(self, message: PeerMessage) -> None:
        await self._database.ask(bus.tell_peers, message)

    # The bus

    async def _listen(self) -> None:
        """Hear the bus, for ever: a restart of PostgreSQL is a pause."""
        while True:
            try:
                async for event in bus.listen():
                    self._heard.put_nowait(event)
            except psycopg.Error as error:
                logger.warning("the bus is away: %s", type(error).__name__)
            await asyncio.sleep(_LISTEN_AGAIN_S)

    async def _distribute(self) -> None:
        """Give what was heard to whom it concerns, in the order in which it was said."""
        while True:
            events = [await self._heard.get()]
            while not self._heard.empty():
                events.append(self._heard.get_nowait())
            messages = await self._load(events)
            for event in events:
                await self._give(event, messages)

    async def _load(self, events: list[BusEvent]) -> dict[int, LiveMessage]:
        """The messages somebody here waits for, in one query."""
        wanted = [
            event.occurrence_pk
            for event in events
            if isinstance(event, Announcement) and self._hub.has(Kind.MESSAGES, _place(event))
        ]
        return await self._database.ask_until_answered(live_message.load, wanted) if wanted else {}

    async def _give(self, event: BusEvent, messages: dict[int, LiveMessage]) -> None:
        if isinstance(event, Announcement):
            message = messages.get(event.occurrence_pk)
            if message is not None:
                await self._hub.deliver(Kind.MESSAGES, _place(event), message.encoded, message.headers)
        elif isinstance(event, Reconnected):
            await self._presence.introduce()
        elif isinstance(event, PeerEvent):
            await self._hear_peer(event.message)

    async def _hear_peer(self, message: PeerMessage) -> None:
        if isinstance(message, Command):
            place = Place(message.application_pk, message.channel_name)
            await self._hub.deliver(Kind.COMMANDS, place, bytes(message.content))
        else:
            await self._presence.hear(message)

    # The clock

    async def _keep_time(self) -> None:
        """Ping who is silent, close what lies idle."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            self._engine.beat()
            for connection in list(self._connections):
                if loop.time() - connection.idle_since > IDLE_S:
                    connection.abort()


def _place(event: Announcement) -> Place:
    return Place(event.application_pk, event.channel_name)


def _allow_many_connections() -> None:
    """Raise the soft limit of open files to the hard one: every subscriber is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
