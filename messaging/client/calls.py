"""Every call as a value: what to send, and how to read the answer. Pure; the two clients send them."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from messaging.client.errors import ClarionError, ConnectionFailed
from messaging.client.values import (
    DeliveryOptions,
    DeviceRegistration,
    MessageStatus,
    PublishOptions,
    PublishPolicy,
    PublishStatus,
)

T = TypeVar("T")

ATTEMPTS = 4
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0
_PASSING = frozenset({408, 409, 429, 502, 503, 504})  #: 409: an earlier try is still carried out


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One call: what to send, how to read the answer, whether sending it twice does no harm."""

    method: str
    path: str  #: below `/messaging/`
    read: Callable[[Any], T]
    body: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_repeatable: bool = True

    def encoded(self) -> bytes | None:
        """The body. Raises TypeError and ValueError for what is not JSON."""
        return None if self.body is None else json.dumps(self.body, allow_nan=False).encode()


@dataclass(frozen=True, slots=True)
class Response:
    """What came back."""

    status: int
    body: bytes
    retry_after_s: float = 0.0


def retry_after_s(header: str) -> float:
    """Seconds of a Retry-After; 0.0 where it is none or a date, which the API never sends."""
    return float(header) if header.isascii() and header.isdecimal() else 0.0


def pause_s(attempt: int, asked_s: float = 0.0) -> float:
    """Seconds until the next try: twice as long each time, spread, and no sooner than the server asks."""
    spread = random.uniform(1, 1.5)  # noqa: S311  # no secret
    return max(_FIRST_PAUSE_S * 2.0 ** (attempt - 1) * spread, asked_s)


def may_try_again(request: Request[Any], attempt: int) -> bool:
    """Whether there is another try when the answer to this one is lost."""
    return request.is_repeatable and attempt < ATTEMPTS


def should_try_again(request: Request[Any], response: Response, attempt: int) -> bool:
    """Whether another try may help; whoever is asked to wait for long is told so instead."""
    return (
        response.status in _PASSING and response.retry_after_s <= _LONGEST_PAUSE_S and may_try_again(request, attempt)
    )


def no_answer(host: str, error: Exception) -> ConnectionFailed:
    """The error for a try without an answer."""
    return ConnectionFailed(0, f"No answer from {host}: {str(error) or type(error).__name__}", 0)


def result(request: Request[T], response: Response) -> T:
    """What the answer means. Raises ClarionError."""
    try:
        answer = json.loads(response.body)
        if response.status == 200:
            return request.read(answer)
        code, message = int(answer["code"]), str(answer["message"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        # a proxy's page, most likely
        raise ClarionError(0, "The answer is none of this API.", response.status, response.retry_after_s) from error
    raise ClarionError.by_code.get(code, ClarionError)(code, message, response.status, response.retry_after_s)


def publish(
    message: object,
    channel: str,
    publish_options: PublishOptions | None,
    delivery_options: DeliveryOptions | None,
    idempotency_key: str,
) -> Request[MessageStatus]:
    """POST <channel>."""
    known = _without_none({**_options(publish_options), **_delivery(delivery_options)})
    return _once(quoted(channel), {"message": message, **known}, idempotency_key)


def push_with_template(
    template: str, template_values: Mapping[str, str | float] | None, idempotency_key: str
) -> Request[MessageStatus]:
    """POST push/<template>."""
    return _once(f"push/{quoted(template)}", {"templateValues": dict(template_values or {})}, idempotency_key)


def get_push_templates(os: str) -> Request[dict[str, dict[str, Any]]]:
    """GET pushtemplates/<os>."""
    return Request("GET", f"pushtemplates/{quoted(os)}", dict)


def get_message_status(message_id: str) -> Request[MessageStatus]:
    """GET <message id>."""
    return Request("GET", quoted(message_id), _message_status)


def cancel(message_id: str) -> Request[MessageStatus]:
    """DELETE <message id>."""
    return Request("DELETE", quoted(message_id), _message_status, is_repeatable=False)


def delete_channel(channel: str) -> Request[None]:
    """DELETE channels/<channel>."""
    return Request("DELETE", f"channels/{quoted(channel)}", _nothing, is_repeatable=False)


def register_device(
    device: Mapping[str, str | None], channels: Sequence[str], expiration: datetime | None
) -> Request[str]:
    """POST registrations. Raises TypeError for a text as `channels`."""
    known = {**device, "channels": _several("channels", channels) or None, "expiration": _milliseconds(expiration)}
    return Request("POST", "registrations", lambda answer: str(answer["registrationId"]), _without_none(known))


def get_registrations(device_id: str) -> Request[list[DeviceRegistration]]:
    """GET registrations/<device id>."""
    path = f"registrations/{quoted(device_id)}"
    return Request("GET", path, lambda answer: [_registration(entry) for entry in answer])


def unregister(device_id: str) -> Request[bool]:
    """DELETE registrations/<device id>."""
    return Request("DELETE", f"registrations/{quoted(device_id)}", lambda answer: bool(answer["result"]))


def quoted(part: str) -> str:
    """As a segment of a path. Raises ValueError when there is none."""
    if not part:
        raise ValueError("A channel, id or name is empty.")
    return quote(part, safe=":")


def _without_none(body: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if value is not None}


def _options(options: PublishOptions | None) -> dict[str, object]:
    options = options or PublishOptions()
    headers = dict(options.headers) or None
    return {"publisherId": options.publisher_id, "subtopic": options.subtopic, "headers": headers}


def _several(name: str, texts: Sequence[str]) -> list[str]:
    """One text is a sequence of texts too, of its letters. Raises TypeError."""
    if isinstance(texts, str):
        raise TypeError(f"{name} takes a list, not one text.")
    return list(texts)


def _delivery(delivery: DeliveryOptions | None) -> dict[str, object]:
    delivery = delivery or DeliveryOptions()
    policy, named = delivery.publish_policy, delivery.push_singlecast
    return {
        "publishPolicy": policy.value if isinstance(policy, PublishPolicy) else policy,
        "pushBroadcast": delivery.push_broadcast,
        "pushSinglecast": None if named is None else _several("push_singlecast", named),
        "segmentQuery": delivery.segment_query,
        "publishAt": _milliseconds(delivery.publish_at),
        "repeatEvery": delivery.repeat_every,
        "repeatExpiresAt": _milliseconds(delivery.repeat_expires_at),
    }


def _once(path: str, body: Mapping[str, object], key: str) -> Request[MessageStatus]:
    """The key makes a second try safe: the server answers it with what the first one did."""
    if not (key.isascii() and key.isprintable()):
        raise ValueError("idempotency_key takes printable ASCII characters.")
    return Request("POST", path, _message_status, body, {"Idempotency-Key": key or str(uuid.uuid4())})


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


def _nothing(_answer: Any) -> None:
    return None
