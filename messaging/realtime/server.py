"""The socket process: connections in front, the bus behind. Any number may run; each hears everything."""

from __future__ import annotations

import asyncio
import itertools
import logging
import resource
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from django.db import DatabaseError

from devices.errors import ApiError
from messaging.realtime import bus
from messaging.realtime.access import Access
from messaging.realtime.connection import Connection
from messaging.realtime.database_thread import DatabaseThread
from messaging.realtime.distribution import Distribution
from messaging.realtime.engine import Engine
from messaging.realtime.hub import Hub
from messaging.realtime.limits import Bounds, Limits
from messaging.realtime.peer_events import PeerMessage
from messaging.realtime.presence import Presence
from messaging.realtime.session import Session
from messaging.realtime.subscriber import Services, Subscriber

logger = logging.getLogger(__name__)

#: connections the kernel may hold until they are accepted: after a restart everybody comes back within 30 ms
_BACKLOG = 4096
_STOP_S = 3.0
#: files beside the connections: the database, libraries, and connections on their way out
_OTHER_FILES = 100
_CHECK_KEYS_EVERY_S = 5.0
_TURNS_PER_FULL_CHECK = 6


@dataclass(frozen=True, slots=True)
class Address:
    """Where a socket process listens; port 0 for any."""

    host: str
    port: int


class SocketServer:
    """One process's sockets."""

    def __init__(self, bounds: Bounds) -> None:
        limits = Limits(_with_open_files(bounds))
        self._database = DatabaseThread("database")
        #: apart from the other: whoever floods it with questions delays no messages
        self._access_database = DatabaseThread("access")
        self._hub = Hub()
        self._presence = Presence(self._hub, self._tell_in_the_end)
        self._distribution = Distribution(self._database, self._hub, self._presence)
        self._access = Access(self._access_database, limits)
        self._members: set[Subscriber] = set()
        services = Services(
            hub=self._hub,
            presence=self._presence,
            members=self._members,
            access=self._access,
            limits=limits,
            tell=self._tell,
            run=self._run_in_background,
        )
        self._engine = Engine(lambda session, application_id: Subscriber(services, session, application_id), limits)
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, address: Address, started: Callable[[int], None], stop: Coroutine[Any, Any, object]) -> None:
        """Serve until `stop` is done; `started` is told the port. Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Connection(self._engine, self._connections), address.host, address.port, backlog=_BACKLOG
        )
        works = [asyncio.ensure_future(work) for work in self._works()]
        started(server.sockets[0].getsockname()[1])
        try:
            # none of them ends by itself: if one fails, the process does, and whoever keeps it starts it again
            await asyncio.wait([asyncio.ensure_future(stop), *works], return_when=asyncio.FIRST_COMPLETED)
        finally:
            server.close()
            self._tasks.update(works)
            await self._end()
        for work in works:
            if not work.cancelled():
                work.result()

    def _works(self) -> tuple[Coroutine[Any, Any, None], ...]:
        distribution, presence = self._distribution, self._presence
        return (
            distribution.listen(),
            distribution.distribute(),
            presence.tell_news(),
            presence.beat(),
            self._keep_time(),
            self._check_members(),
        )

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
        self._access_database.close()

    def _run_in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task of the socket process failed", exc_info=error)

    # The database

    async def _tell(self, message: PeerMessage) -> None:
        await self._database.ask(bus.tell_peers, message)

    async def _tell_in_the_end(self, message: PeerMessage) -> None:
        await self._database.ask_until_answered(bus.tell_peers, message)

    # The clock

    async def _keep_time(self) -> None:
        """Ping who is silent, close what lies idle."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            self._engine.beat()
            now = loop.time()
            for connection in list(self._connections):
                if now > connection.deadline:
                    connection.expire()
            self._shed()

    def _shed(self) -> None:
        """Cut off those that most is kept for, while too much is kept for all of them."""
        holders: list[Connection | Session] = [*self._connections, *self._engine.sessions.values()]
        kept = [(holder.held, holder) for holder in holders]
        too_much = sum(held for held, _ in kept) - self._engine.limits.bounds.held
        if too_much <= 0:
            return
        for held, holder in sorted(kept, key=itemgetter(0), reverse=True):
            if too_much <= 0:
                break
            too_much -= held
            holder.abort()

    async def _check_members(self) -> None:
        """Whose key was revoked hears no more within ten seconds; whose token died or roles changed, in a minute."""
        for turn in itertools.count(1):
            await asyncio.sleep(_CHECK_KEYS_EVERY_S)
            by_key: dict[tuple[str, str], list[Subscriber]] = {}
            for member in self._members:
                if member.has_wrong_key:
                    continue
                credentials = member.credentials
                by_key.setdefault((credentials.application_id, credentials.key), []).append(member)
            for members in by_key.values():
                await self._check_key(members)
            for member in list(self._members) if turn % _TURNS_PER_FULL_CHECK == 0 else ():
                if not member.has_wrong_key:
                    await member.check_again()

    async def _check_key(self, members: list[Subscriber]) -> None:
        try:
            await self._access.caller(members[0].credentials)
        except ApiError as error:
            for member in members:
                member.refuse(error)


def _with_open_files(bounds: Bounds) -> Bounds:
    """As many connections as files may be open, when that is fewer: the soft limit is raised to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return bounds
    return replace(bounds, connections=min(bounds.connections or hard, max(hard - _OTHER_FILES, 1)))
