"""Publish bodies as they come in: their rules beyond the shape."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from devices import segment_query, timestamps
from devices.api.shapes import MAX_DEVICE_ID
from devices.errors import ApiError, InvalidProperty, PropertyTooLong
from devices.json_input import KIB, to_struct
from devices.push_services import OsMask
from messaging.api.shapes import (
    MAX_HEADER_NAME,
    MAX_HEADER_VALUE,
    MAX_HEADERS,
    MAX_REPEAT_EVERY_S,
    MAX_SINGLECAST,
    MAX_TEXT,
    PublishBody,
)
from messaging.errors import (
    EmptyAudience,
    InvalidPublishAt,
    InvalidPushHeader,
    InvalidRepeatEvery,
    InvalidRepeatExpiresAt,
)
from messaging.models import PublishPolicy
from messaging.publishing import PublishRequest

MAX_BODY_BYTES = 256 * KIB
#: a body that names devices may be this large
MORE_WITH = {"pushSinglecast": 10 * KIB * KIB}

#: "ALL" through the versions of the SDKs (contract.md 2): a mask of every system known then means every system now
_MEANS_ALL = frozenset({7, 15, 31})
_PUSH_POLICIES = {"ONLY": PublishPolicy.PUSH, "ALSO": PublishPolicy.BOTH, "NONE": PublishPolicy.PUBSUB}
#: beyond it a float holds whole numbers that nobody wrote
_MOST_EXACT = 2**53
_LINE_BREAK = re.compile(r"[\r\n]")
_ERRORS: dict[str, type[ApiError]] = {
    "publishAt": InvalidPublishAt,
    "repeatEvery": InvalidRepeatEvery,
    "releatEvery": InvalidRepeatEvery,
    "repeatExpiresAt": InvalidRepeatExpiresAt,
    "headers": InvalidPushHeader,
}


def parse_publish_request(channel_name: str, body: dict[str, object]) -> PublishRequest:
    """The request of a body; 5003, 5030, 8000 and codes of ours name the property at fault."""
    wire = to_struct(body, PublishBody, _ERRORS)
    policy = _publish_policy(wire)
    return PublishRequest(
        channel_name=channel_name,
        body=wire.message,
        headers=_headers(wire.headers or {}),
        publisher_id=_text("publisherId", wire.publisher_id),
        subtopic=_text("subtopic", wire.subtopic),
        publish_policy=policy or PublishPolicy.BOTH,
        is_policy_named=policy is not None,
        push_broadcast=None if wire.push_broadcast is None else _push_broadcast(wire.push_broadcast),
        push_singlecast=None if wire.push_singlecast is None else _push_singlecast(wire.push_singlecast),
        segment_query=_segment_query(wire.segment_query or ""),
        publish_at=_moment("publishAt", wire.publish_at),
        repeat_every=_repeat_every(wire.releat_every if wire.repeat_every is None else wire.repeat_every),
        repeat_expires_at=_moment("repeatExpiresAt", wire.repeat_expires_at),
    )


def _text(field: str, value: str | None) -> str:
    return _within(field, value or "", MAX_TEXT)


def _within(field: str, value: str, limit: int) -> str:
    if len(value) > limit:
        raise PropertyTooLong(
            f"Property value exceeds the length limit: {field} takes {limit} characters.", field=field
        )
    return value


def _headers(headers: dict[str, str | int | float | bool]) -> dict[str, str]:
    """Values as strings, which is how subscribers get them (contract.md 2)."""
    if len(headers) > MAX_HEADERS:
        raise PropertyTooLong(f"Property value exceeds the length limit: headers takes {MAX_HEADERS} entries.")
    return {_header_name(name): _header_value(name, value) for name, value in headers.items()}


def _header_name(name: str) -> str:
    if not name or _LINE_BREAK.search(name):
        raise InvalidPushHeader("headers: a name is empty or holds a line break.", field="headers")
    return _within("a name in headers", name, MAX_HEADER_NAME)


def _header_value(name: str, value: str | float) -> str:
    """20.0 is 20: clients that know one kind of numbers write it so, and `ios-badge` takes whole ones.

    Texts may have lines: they travel in JSON and XML, never as a field of HTTP.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) <= _MOST_EXACT
    return _within(f"headers.{name}", str(int(value) if is_whole else value), MAX_HEADER_VALUE)


def _publish_policy(wire: PublishBody) -> PublishPolicy | None:
    """The policy asked for, None without one."""
    if wire.publish_policy is not None:
        try:
            return PublishPolicy(wire.publish_policy.upper())
        except ValueError as error:
            raise InvalidProperty("publishPolicy must be PUSH, PUBSUB or BOTH.", field="publishPolicy") from error
    if wire.push_policy is not None:
        policy = _PUSH_POLICIES.get(wire.push_policy.upper())
        if policy is None:
            raise InvalidProperty("pushPolicy must be ONLY, ALSO or NONE.", field="pushPolicy")
        return policy
    return None


def _push_broadcast(value: float | str) -> OsMask:
    mask = _mask_of_names(value) if isinstance(value, str) else value
    if mask in _MEANS_ALL:
        return OsMask.ALL
    if mask % 1 or not 0 <= mask <= OsMask.ALL:
        raise InvalidProperty(f"pushBroadcast must be a mask from 0 to {int(OsMask.ALL)}.", field="pushBroadcast")
    return OsMask(int(mask))


def _mask_of_names(value: str) -> int:
    """`IOS`, `IOS|ANDROID`, `FOR_IOS|FOR_ANDROID`, `ALL`, `FOR_NONE`, in any letter case."""
    mask = OsMask.NONE
    for word in value.split("|"):
        name = word.strip().upper().removeprefix("FOR_")
        if name not in OsMask.__members__:
            known = ", ".join(OsMask.__members__)
            raise InvalidProperty(f"pushBroadcast takes {known}, joined with a bar.", field="pushBroadcast")
        mask |= OsMask[name]
    return int(mask)


def _push_singlecast(device_ids: list[str]) -> tuple[str, ...]:
    """Each device once."""
    if not device_ids:
        raise EmptyAudience(field="pushSinglecast")
    if len(device_ids) > MAX_SINGLECAST:
        raise PropertyTooLong(
            f"Property value exceeds the length limit: pushSinglecast takes {MAX_SINGLECAST} device ids.",
            field="pushSinglecast",
        )
    if max(map(len, device_ids)) > MAX_DEVICE_ID:
        raise PropertyTooLong(
            f"Property value exceeds the length limit: an id in pushSinglecast takes {MAX_DEVICE_ID} characters.",
            field="pushSinglecast",
        )
    return tuple(dict.fromkeys(device_ids))


def _segment_query(query: str) -> str:
    """The query once it has been read as one."""
    if query.strip():
        segment_query.check(query)
    return query.strip()


def _moment(field: str, value: float | str | None) -> datetime | None:
    if value is None:
        return None
    try:
        return timestamps.from_wire(value)
    except ValueError as error:
        raise _ERRORS[field](f"{field}: {error}.", field=field) from error


def _repeat_every(seconds: float | None) -> timedelta | None:
    """3600.0 is a whole number too: JSON knows one kind of numbers."""
    if seconds is None:
        return None
    if seconds % 1 or not 1 <= seconds <= MAX_REPEAT_EVERY_S:
        raise InvalidRepeatEvery(
            f"repeatEvery must be a whole number of seconds, 1 to {MAX_REPEAT_EVERY_S:,}.", field="repeatEvery"
        )
    return timedelta(seconds=seconds)
