"""The client for threads."""

from __future__ import annotations

import http.client
import time
import weakref
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from messaging.client import calls
from messaging.client.calls import Request
from messaging.client.kept_connections import KeptConnections
from messaging.client.target import Target
from messaging.client.values import DeliveryOptions, DeviceRegistration, MessageStatus, PublishOptions

T = TypeVar("T")


class Messaging:
    """The calls of one application. Threads may share it; connections are kept until `close`, or the end of a `with`.

    `timeout` is in seconds, for each wait of each try. A call whose answer is lost, or that meets a 408, 409, 429,
    502, 503 or 504, is tried four times at most where that does no harm: reading, (un)registering, and publishing,
    which sends an Idempotency-Key for that. Give a key of your own where you try again yourself, as after a restart.
    Everything raises ClarionError; ValueError and TypeError are for arguments that cannot be sent.
    """

    def __init__(
        self,
        url: str,
        application_id: str,
        api_key: str,
        *,
        timeout: float = 10.0,
        user_token: str = "",
    ) -> None:
        self._target = Target.of(url, application_id, api_key, user_token)
        self._connections = KeptConnections(self._target, timeout)
        weakref.finalize(self, self._connections.close)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._target})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close idle connections; a later call opens a new one."""
        self._connections.close()

    def publish(
        self,
        message: object,
        channel: str = "default",
        publish_options: PublishOptions | None = None,
        delivery_options: DeliveryOptions | None = None,
        *,
        idempotency_key: str = "",
    ) -> MessageStatus:
        """Publish any JSON value; SCHEDULED means that the server has it in its database."""
        return self._call(calls.publish(message, channel, publish_options, delivery_options, idempotency_key))

    def push_with_template(
        self, template: str, template_values: Mapping[str, str | float] | None = None, *, idempotency_key: str = ""
    ) -> MessageStatus:
        """Push from a template, its placeholders filled with the values."""
        return self._call(calls.push_with_template(template, template_values, idempotency_key))

    def get_push_templates(self, os: str) -> dict[str, dict[str, Any]]:
        """The templates for an operating system by name, in the form devices store."""
        return self._call(calls.get_push_templates(os))

    def get_message_status(self, message_id: str) -> MessageStatus:
        """What became of a message; UNKNOWN for an id nobody gave out."""
        return self._call(calls.get_message_status(message_id))

    def cancel(self, message_id: str) -> MessageStatus:
        """Cancel a message. Raises CannotCancel. Never tried twice: the second try would call a success an error."""
        return self._call(calls.cancel(message_id))

    def delete_channel(self, channel: str) -> None:
        """Delete a channel; its messages and devices stay. Raises UnknownChannel. Never tried twice, as `cancel`."""
        return self._call(calls.delete_channel(channel))

    def register_device(
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
        return self._call(calls.register_device(device, channels, expiration))

    def get_registrations(self, device_id: str) -> list[DeviceRegistration]:
        """The registration of a device, in a list. Raises UnknownDevice."""
        return self._call(calls.get_registrations(device_id))

    def unregister(self, device_id: str) -> bool:
        """Remove a device. Raises UnknownDevice: also when the answer to a first try was lost."""
        return self._call(calls.unregister(device_id))

    def _call(self, request: Request[T]) -> T:
        """Send, again where that is safe and may help, and read the answer. Raises ClarionError."""
        for attempt in range(1, calls.ATTEMPTS + 1):
            asked_s = 0.0
            try:
                response = self._connections.send(request)
            except (OSError, http.client.HTTPException) as error:
                if not calls.may_try_again(request, attempt):
                    raise calls.no_answer(self._target.host, error) from error
            else:
                if not calls.should_try_again(request, response, attempt):
                    break
                asked_s = response.retry_after_s
            time.sleep(calls.pause_s(attempt, asked_s))
        return calls.result(request, response)
