"""The client for asyncio: as many calls at once as you like, over as many connections as you allow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from messaging.client import calls
from messaging.client.calls import Request, Response
from messaging.client.exchange import Connection
from messaging.client.target import Target
from messaging.client.values import DeliveryOptions, DeviceRegistration, MessageStatus, PublishOptions

T = TypeVar("T")


class AsyncMessaging:
    """The calls of Messaging, to await. Inside `async with` connections are kept; outside each call has its own.

    At most `max_connections` calls are on the wire at a time, the others wait for theirs. `timeout` is in seconds, for
    each try. What is tried again, and what is raised, is as with Messaging. One event loop at a time may use it.
    """

    def __init__(
        self,
        url: str,
        application_id: str,
        api_key: str,
        *,
        timeout: float = 10.0,
        user_token: str = "",
        max_connections: int = 100,
    ) -> None:
        self._target = Target.of(url, application_id, api_key, user_token)
        self._timeout = timeout
        self._most_idle = max_connections
        self._room = asyncio.Semaphore(max_connections)
        self._idle: deque[Connection] = deque()
        self._is_kept = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._target})"

    async def __aenter__(self) -> Self:
        self._is_kept = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close idle connections; later calls have connections of their own."""
        self._is_kept = False
        while self._idle:
            await self._idle.pop().closed()

    async def publish(
        self,
        message: object,
        channel: str = "default",
        publish_options: PublishOptions | None = None,
        delivery_options: DeliveryOptions | None = None,
        *,
        idempotency_key: str = "",
    ) -> MessageStatus:
        """Publish any JSON value; SCHEDULED means that the server has it in its database."""
        return await self._call(calls.publish(message, channel, publish_options, delivery_options, idempotency_key))

    async def push_with_template(
        self, template: str, template_values: Mapping[str, str | float] | None = None, *, idempotency_key: str = ""
    ) -> MessageStatus:
        """Push from a template, its placeholders filled with the values."""
        return await self._call(calls.push_with_template(template, template_values, idempotency_key))

    async def get_push_templates(self, os: str) -> dict[str, dict[str, Any]]:
        """The templates for an operating system by name, in the form devices store."""
        return await self._call(calls.get_push_templates(os))

    async def get_message_status(self, message_id: str) -> MessageStatus:
        """What became of a message; UNKNOWN for an id nobody gave out."""
        return await self._call(calls.get_message_status(message_id))

    async def cancel(self, message_id: str) -> MessageStatus:
        """Cancel a message. Raises CannotCancel. Never tried twice: the second try would call a success an error."""
        return await self._call(calls.cancel(message_id))

    async def delete_channel(self, channel: str) -> None:
        """Delete a channel; its messages and devices stay. Raises UnknownChannel. Never tried twice, as `cancel`."""
        return await self._call(calls.delete_channel(channel))

    async def register_device(
        self,
        device_token: str,
        device_id: str,
        os: str,
        *,
        os_version: str = "",
        channels: Sequence[str] = (),
        expiration: datetime | None = None,
    ) -> str:
        """Register a device, or bring its registration up to date; the registration ids, joined with commas."""
        device = {"deviceToken": device_token, "deviceId": device_id, "os": os, "osVersion": os_version or None}
        return await self._call(calls.register_device(device, channels, expiration))

    async def get_registrations(self, device_id: str) -> list[DeviceRegistration]:
        """The registration of a device, in a list. Raises UnknownDevice."""
        return await self._call(calls.get_registrations(device_id))

    async def unregister(self, device_id: str) -> bool:
        """Remove a device. Raises UnknownDevice: also when the answer to a first try was lost."""
        return await self._call(calls.unregister(device_id))

    async def _call(self, request: Request[T]) -> T:
        """Send, again where that is safe and may help, and read the answer. Raises ClarionError."""
        for attempt in range(1, calls.ATTEMPTS + 1):
            asked_s = 0.0
            try:
                response = await self._send(request)
            except (OSError, EOFError) as error:
                if not calls.may_try_again(request, attempt):
                    raise calls.no_answer(self._target.host, error) from error
            else:
                if not calls.should_try_again(request, response, attempt):
                    break
                asked_s = response.retry_after_s
            await asyncio.sleep(calls.pause_s(attempt, asked_s))
        return calls.result(request, response)

    async def _send(self, request: Request[Any]) -> Response:
        """One try. Raises OSError and EOFError when there is no answer."""
        async with self._room, asyncio.timeout(self._timeout):
            connection = self._taken() if request.is_repeatable else None
            connection = connection or await Connection.open(self._target)
            is_usable = False
            try:
                response, is_usable = await connection.exchange(self._target, request)
            finally:
                self._give_back(connection, is_usable=is_usable)
        return response

    def _give_back(self, connection: Connection, *, is_usable: bool) -> None:
        while self._idle and not self._idle[0].is_usable:  # idle longest: closed by the server first
            self._idle.popleft().close()
        if is_usable and self._is_kept and len(self._idle) < self._most_idle:
            self._idle.append(connection)
        else:
            connection.close()

    def _taken(self) -> Connection | None:
        """An idle connection that the server has not closed meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.close()
        return None
