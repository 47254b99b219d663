"""A Python client of the REST API, synchronous and asynchronous: one file without dependencies, copy it freely.

    messaging = Messaging("https://push.example.org", application_id, api_key)
    status = messaging.publish("Tea is ready", delivery_options=DeliveryOptions(push_singlecast=["my-phone"]))

Names and shapes are those of the Backendless SDKs, in Python's spelling.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.client
import json
import ssl
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, IntFlag
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar
from urllib.parse import quote, urlsplit

T = TypeVar("T")
P = ParamSpec("P")

_ATTEMPTS = 4
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0
_PASSING = frozenset({408, 409, 429, 502, 503, 504})  #: 409: an earlier try is still carried out


class PublishStatus(Enum):
    """What became of a message."""

    SCHEDULED = "SCHEDULED"
    PUBLISHED = "PUBLISHED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"


class PublishPolicy(Enum):
    """By which way a message goes out."""

    PUSH = "PUSH"
    PUBSUB = "PUBSUB"
    BOTH = "BOTH"


class PushBroadcast(IntFlag):
    """Operating systems of a channel; join them with a bar."""

    NONE = 0
    IOS = 1
    ANDROID = 2
    WP = 4
    OSX = 8
    WEB = 16
    ALL = 31


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """Who publishes, and how the message looks."""

    publisher_id: str | None = None
    headers: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    subtopic: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """Whom a message is for, and when. Moments without a time zone are refused."""

    publish_policy: PublishPolicy | None = None
    push_broadcast: PushBroadcast | int | str | None = None
    push_singlecast: Sequence[str] | None = None
    segment_query: str | None = None
    publish_at: datetime | None = None
    repeat_every: int | None = None  #: seconds
    repeat_expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MessageStatus:
    """Id and status of a message."""

    message_id: str
    status: PublishStatus
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceRegistration:
    """A registered device."""

    id: str
    device_token: str
    device_id: str
    os: str
    os_version: str
    channels: tuple[str, ...]
    expiration: datetime | None


class ClarionError(Exception):
    """The server refused: `code` says why and is stable, `message` is for people. Without a code it is 0."""

    by_code: ClassVar[dict[int, type[ClarionError]]] = {}

    def __init_subclass__(cls, codes: tuple[int, ...] = ()) -> None:
        cls.by_code.update(dict.fromkeys(codes, cls))

    def __init__(self, code: int, message: str, http_status: int) -> None:
        super().__init__(code, message, http_status)
        self.code = code
        self.message = message
        self.http_status = http_status

    def __str__(self) -> str:
        return f"{self.message} (code {self.code}, HTTP {self.http_status})"


class ConnectionFailed(ClarionError):
    """No answer, HTTP status 0: whether the server acted is unknown."""


class WrongApplicationInfo(ClarionError, codes=(2002,)):
    """Application id or key are wrong, or the key was revoked."""


class UnknownDevice(ClarionError, codes=(5000, 5001)):
    """No device is registered under that id, or none any more."""


class InvalidRepeatExpiresAt(ClarionError, codes=(5003,)):
    """repeat_expires_at cannot be used."""


class InvalidExpiration(ClarionError, codes=(5004,)):
    """The expiration is not in the future."""


class PublishForbidden(ClarionError, codes=(5007,)):
    """The key or the user may not publish."""


class InvalidPublishAt(ClarionError, codes=(5030,)):
    """publish_at cannot be used."""


class CannotCancel(ClarionError, codes=(5040,)):
    """The message was cancelled before, is over, or does not exist."""


class DeadUserToken(ClarionError, codes=(3064,)):
    """The user has to log in again."""


class UnknownPushTemplate(ClarionError, codes=(5930,)):
    """No push template has that name."""


class PropertyTooLong(ClarionError, codes=(8000,)):
    """A value is too long; the message names it."""


@dataclass(frozen=True, slots=True)
class _Request(Generic[T]):
    """One call: what to send, how to read the answer, whether sending it twice does no harm."""

    method: str
    path: str  #: below `/messaging/`
    read: Callable[[Any], T]
    body: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_repeatable: bool = True


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    body: bytes
    retry_after_s: float = 0.0


def _quoted(part: str) -> str:
    if not part:
        raise ValueError("A channel, id or name is empty.")
    return quote(part, safe=":")


def _without_none(body: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if value is not None}


def _options(options: PublishOptions | None) -> dict[str, object]:
    options = options or PublishOptions()
    headers = dict(options.headers) or None
    return {"publisherId": options.publisher_id, "subtopic": options.subtopic, "headers": headers}


def _delivery(delivery: DeliveryOptions | None) -> dict[str, object]:
    delivery = delivery or DeliveryOptions()
    return {
        "publishPolicy": None if delivery.publish_policy is None else delivery.publish_policy.value,
        "pushBroadcast": delivery.push_broadcast,
        "pushSinglecast": None if delivery.push_singlecast is None else list(delivery.push_singlecast),
        "segmentQuery": delivery.segment_query,
        "publishAt": _milliseconds(delivery.publish_at),
        "repeatEvery": delivery.repeat_every,
        "repeatExpiresAt": _milliseconds(delivery.repeat_expires_at),
    }


def _once(path: str, body: Mapping[str, object], key: str) -> _Request[MessageStatus]:
    """The key makes a second try safe: the server answers it with what the first one did."""
    return _Request("POST", path, _message_status, body, {"Idempotency-Key": key or str(uuid.uuid4())})


def _milliseconds(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError("A moment needs a time zone: datetime.now(UTC) + ...")
    return round(moment.timestamp() * 1000)


def _message_status(answer: Any) -> MessageStatus:
    return MessageStatus(answer["messageId"], PublishStatus(answer["status"].upper()), answer.get("errorMessage"))


def _registration(entry: Any) -> DeviceRegistration:
    expiration = entry["expiration"]
    return DeviceRegistration(
        id=entry["id"],
        device_token=entry["deviceToken"],
        device_id=entry["deviceId"],
        os=entry["os"],
        os_version=entry["osVersion"],
        channels=tuple(entry["channels"]),
        expiration=None if expiration is None else datetime.fromtimestamp(expiration / 1000, UTC),
    )


def _result(request: _Request[T], response: _Response) -> T:
    """What the answer means. Raises ClarionError."""
    try:
        answer = json.loads(response.body)
        if response.status == 200:
            return request.read(answer)
        code, message = int(answer["code"]), str(answer["message"])
    except (ValueError, KeyError, TypeError) as error:
        # a proxy's page, most likely
        raise ClarionError(0, "The answer is none of this API.", response.status) from error
    raise ClarionError.by_code.get(code, ClarionError)(code, message, response.status)


class _Transport:
    """One connection for each call: nothing to close, nothing shared between threads."""

    def __init__(self, url: str, prefix: str, timeout: float, user_token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url must be http:// or https:// and a host.")
        connection: Callable[..., http.client.HTTPConnection] = http.client.HTTPConnection
        if parts.scheme == "https":
            connection = functools.partial(http.client.HTTPSConnection, context=ssl.create_default_context())
        self._host = parts.hostname
        self._connect = functools.partial(connection, parts.hostname, parts.port, timeout=timeout)
        self._prefix = f"{parts.path.rstrip('/')}{prefix}/messaging/"
        self._user_token = user_token

    def call(self, request: _Request[T]) -> T:
        """Send, again where that is safe and may help, and read the answer. Raises ClarionError."""
        for attempt in range(1, _ATTEMPTS + 1):
            is_last, asked_s = attempt == _ATTEMPTS or not request.is_repeatable, 0.0
            try:
                response = self._send(request)
            except (OSError, http.client.HTTPException) as error:
                if is_last:
                    raise ConnectionFailed(0, f"No answer from {self._host}: {error}", 0) from error
            else:
                if is_last or response.status not in _PASSING:
                    break
                asked_s = response.retry_after_s
            time.sleep(min(max(_FIRST_PAUSE_S * 2 ** (attempt - 1), asked_s), _LONGEST_PAUSE_S))
        return _result(request, response)

    def _send(self, request: _Request[Any]) -> _Response:
        headers = {"Accept": "application/json", **request.headers}
        if self._user_token:
            headers["user-token"] = self._user_token
        body = None
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(request.body, allow_nan=False).encode()
        with contextlib.closing(self._connect()) as connection:
            connection.request(request.method, self._prefix + request.path, body, headers)
            answer = connection.getresponse()
            asked = answer.headers.get("Retry-After", "")
            return _Response(answer.status, answer.read(), float(asked) if asked.isdecimal() else 0.0)


class Messaging:
    """The calls of one application. Threads may share it. `timeout` is for each wait of each try.

    A call whose answer is lost, or that meets a 429, 502, 503 or 504, is tried four times at most where that does no
    harm: reading, (un)registering, and publishing, which sends an Idempotency-Key for that. Give a key of your own
    where you try again yourself, as after a restart. Everything raises ClarionError.
    """

    def __init__(
        self, url: str, application_id: str, api_key: str, *, timeout: float = 10.0, user_token: str = ""
    ) -> None:
        self._call = _Transport(url, f"/{_quoted(application_id)}/{_quoted(api_key)}", timeout, user_token).call

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
        known = _without_none({**_options(publish_options), **_delivery(delivery_options)})
        return self._call(_once(_quoted(channel), {"message": message, **known}, idempotency_key))

    def push_with_template(
        self, template: str, template_values: Mapping[str, str | float] | None = None, *, idempotency_key: str = ""
    ) -> MessageStatus:
        """Push from a template, its placeholders filled with the values."""
        body = {"templateValues": dict(template_values or {})}
        return self._call(_once(f"push/{_quoted(template)}", body, idempotency_key))

    def get_push_templates(self, os: str) -> dict[str, dict[str, Any]]:
        """The templates for an operating system by name, in the form devices store."""
        return self._call(_Request("GET", f"pushtemplates/{_quoted(os)}", dict))

    def get_message_status(self, message_id: str) -> MessageStatus:
        """What became of a message; UNKNOWN for an id nobody gave out."""
        return self._call(_Request("GET", _quoted(message_id), _message_status))

    def cancel(self, message_id: str) -> MessageStatus:
        """Cancel a message. Raises CannotCancel. Never tried twice: the second try would call a success an error."""
        return self._call(_Request("DELETE", _quoted(message_id), _message_status, is_repeatable=False))

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
        known = _without_none({**device, "channels": list(channels) or None, "expiration": _milliseconds(expiration)})
        return self._call(_Request("POST", "registrations", lambda answer: str(answer["registrationId"]), known))

    def get_registrations(self, device_id: str) -> list[DeviceRegistration]:
        """The registration of a device, in a list. Raises UnknownDevice."""
        path = f"registrations/{_quoted(device_id)}"
        return self._call(_Request("GET", path, lambda answer: [_registration(entry) for entry in answer]))

    def unregister(self, device_id: str) -> bool:
        """Remove a device. Raises UnknownDevice: also when the answer to a first try was lost."""
        path = f"registrations/{_quoted(device_id)}"
        return self._call(_Request("DELETE", path, lambda answer: bool(answer["result"])))


class AsyncMessaging:
    """The same calls for asyncio, each in a thread of the loop's pool; see Messaging."""

    def __init__(
        self, url: str, application_id: str, api_key: str, *, timeout: float = 10.0, user_token: str = ""
    ) -> None:
        known = Messaging(url, application_id, api_key, timeout=timeout, user_token=user_token)
        self.publish = _in_thread(known.publish)
        self.push_with_template = _in_thread(known.push_with_template)
        self.get_push_templates = _in_thread(known.get_push_templates)
        self.get_message_status = _in_thread(known.get_message_status)
        self.cancel = _in_thread(known.cancel)
        self.register_device = _in_thread(known.register_device)
        self.get_registrations = _in_thread(known.get_registrations)
        self.unregister = _in_thread(known.unregister)


def _in_thread(call: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    @functools.wraps(call)
    async def awaited(*args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(call, *args, **kwargs)

    return awaited
