"""Who a subscriber is and which channels it may listen to; answers are good for four seconds, as in REST."""

from __future__ import annotations

import time
from dataclasses import dataclass

from devices.api_keys import CACHE_SECONDS, Caller, authenticate
from devices.app_users import user_of_token
from devices.permissions import may
from devices.user_models import AppUser, Operation
from messaging.realtime.database_thread import DatabaseThread

_MAX_CACHED = 20_000


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client says of itself."""

    application_id: str
    key: str
    user_token: str  #: "" when nobody is logged in


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

    def __init__(self, database: DatabaseThread) -> None:
        self._database = database
        self._known: dict[tuple[int, int | None, str], tuple[bool, float]] = {}

    async def caller(self, credentials: Credentials) -> Caller:
        """Whose key it is. Raises WrongApplicationInfo (2002)."""
        return await self._database.ask_until_answered(authenticate, credentials.application_id, credentials.key)

    async def visitor(self, credentials: Credentials) -> Visitor:
        """Raises WrongApplicationInfo (2002), DeadUserToken (3064), UserDisabled (3090)."""
        caller = await self.caller(credentials)
        if not credentials.user_token:
            return Visitor(caller, None)
        user = await self._database.ask_until_answered(user_of_token, caller.application, credentials.user_token)
        return Visitor(caller, user)

    async def may_listen(self, visitor: Visitor, channel_name: str) -> bool:
        """Whether key and roles let the visitor listen to the channel."""
        entry = (visitor.caller.api_key.pk, None if visitor.user is None else visitor.user.pk, channel_name)
        known = self._known.get(entry)
        if known is not None and time.monotonic() - known[1] < CACHE_SECONDS:
            return known[0]
        answer = await self._database.ask_until_answered(
            may, visitor.caller, Operation.SUBSCRIBE, channel_name, visitor.user
        )
        if len(self._known) >= _MAX_CACHED:
            self._known.clear()
        self._known[entry] = (answer, time.monotonic())
        return answer
