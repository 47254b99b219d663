"""Who a subscriber is and which channels it may listen to; answers are good for four seconds, as in REST."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakValueDictionary

from devices.api_keys import CACHE_SECONDS, Caller, authenticate, is_known
from devices.app_users import user_of_token
from devices.errors import WrongApplicationInfo
from devices.permissions import may
from devices.user_models import AppUser, Operation
from messaging.realtime.database_thread import DatabaseThread
from messaging.realtime.limits import Limits

Answer = TypeVar("Answer")
_MAX_CACHED = 20_000
#: questions of one address that stand before those of the others
_QUESTIONS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client says of itself."""

    application_id: str
    key: str
    user_token: str  #: "" when nobody is logged in
    address: str  #: whose limits it counts towards


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whom the credentials show."""

    caller: Caller
    user: AppUser | None

    @property
    def user_id(self) -> str | None:
        """As others see it."""
        return None if self.user is None else self.user.object_id


class Access:
    """Asks the database, and waits while it is away: a refusal would last until the client starts anew."""

    def __init__(self, database: DatabaseThread, limits: Limits) -> None:
        self._database = database
        self._limits = limits
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._known: dict[tuple[int, int | None, str], tuple[bool, float]] = {}

    async def caller(self, credentials: Credentials) -> Caller:
        """Whose key it is. Raises WrongApplicationInfo (2002), TooManyRequests (5906) after too many wrong keys."""
        application_id, key, address = credentials.application_id, credentials.key, credentials.address
        if not is_known(application_id, key):
            self._limits.refuse_guessing(address)
        try:
            return await self._ask(address, authenticate, application_id, key)
        except WrongApplicationInfo:
            self._limits.count_failure(address)
            raise

    async def visitor(self, caller: Caller, credentials: Credentials) -> Visitor:
        """Raises DeadUserToken (3064), UserDisabled (3090)."""
        if not credentials.user_token:
            return Visitor(caller, None)
        user = await self._ask(credentials.address, user_of_token, caller.application, credentials.user_token)
        return Visitor(caller, user)

    async def _ask(self, address: str, function: Callable[..., Answer], *args: object) -> Answer:
        """In turn: who floods us with questions waits for the own ones, others for few of them."""
        turns = self._turns.get(address)
        if turns is None:
            turns = self._turns[address] = asyncio.Semaphore(_QUESTIONS_AT_ONCE)
        async with turns:
            return await self._database.ask_until_answered(function, *args)

    async def may_listen(self, visitor: Visitor, channel_name: str, address: str) -> bool:
        """Whether key and roles let the visitor listen to the channel."""
        entry = (visitor.caller.api_key.pk, None if visitor.user is None else visitor.user.pk, channel_name)
        known = self._known.get(entry)
        if known is not None and time.monotonic() - known[1] < CACHE_SECONDS:
            return known[0]
        answer = await self._ask(address, may, visitor.caller, Operation.SUBSCRIBE, channel_name, visitor.user)
        if len(self._known) >= _MAX_CACHED:
            self._known.clear()
        self._known[entry] = (answer, time.monotonic())
        return answer
