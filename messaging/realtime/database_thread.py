"""The thread in which a socket process asks the database, so that its event loop never waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")
_AGAIN_S = 0.5


class DatabaseThread:
    """One thread with one connection; what is asked first is answered first."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, name)

    async def ask(self, function: Callable[..., Answer], *args: object) -> Answer:
        """Call the function there. Raises OperationalError or InterfaceError while the database is away."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, _call, function, args)

    async def ask_until_answered(self, function: Callable[..., Answer], *args: object) -> Answer:
        """The same for what changes nothing: asks again until the database is back."""
        while True:
            try:
                return await self.ask(function, *args)
            except (OperationalError, InterfaceError) as error:
                logger.warning("the database is away: %s", type(error).__name__)
                await asyncio.sleep(_AGAIN_S)

    def close(self) -> None:
        """Close the connection and end the thread."""
        self._executor.submit(_close)
        self._executor.shutdown(wait=True, cancel_futures=False)


def _close() -> None:
    connection.close()  # looked up in the thread whose it is


def _call(function: Callable[..., Answer], args: tuple[object, ...]) -> Answer:
    try:
        return function(*args)
    except (OperationalError, InterfaceError):
        connection.close()  # the next question opens a new one
        raise
