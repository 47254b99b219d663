"""The shape of an FCM HTTP v1 send request: which fields exist and what each may hold (REST reference, Message)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple, Union

MAX_TTL_S = 2_419_200
MAX_BYTES = 4096
MAX_TOPIC_BYTES = 2048
RESERVED_DATA_KEY = re.compile(r"from|message_type|gcm.*|google.*")
DURATION = re.compile(r"(\d{1,12})(?:\.\d{1,9})?s")
COLOR = re.compile(r"#[0-9a-fA-F]{6}(?:[0-9a-fA-F]{2})?")
LABEL = re.compile(r"[a-zA-Z0-9\-_.~%]{1,50}")
TOPIC = re.compile(r"[a-zA-Z0-9\-_.~%]{1,900}")


class Violation(NamedTuple):
    """One entry of google.rpc.BadRequest."""

    field: str
    description: str


Check = Callable[[object], bool]
Schema = Mapping[str, Union[Check, "Schema"]]


def is_string(value: object) -> bool:
    """A JSON string."""
    return isinstance(value, str)


def is_bool(value: object) -> bool:
    """A JSON boolean."""
    return isinstance(value, bool)


def is_int(value: object) -> bool:
    """A JSON number without a fraction."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """A JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_object(value: object) -> bool:
    """A JSON object of any content (google.protobuf.Struct)."""
    return isinstance(value, dict)


def is_string_map(value: object) -> bool:
    """A JSON object whose values are all strings."""
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def is_string_list(value: object) -> bool:
    """A JSON array of strings."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def is_duration(value: object) -> bool:
    """Seconds as `3600s` or `3.5s`."""
    return isinstance(value, str) and DURATION.fullmatch(value) is not None


def is_durations(value: object) -> bool:
    """An array of durations."""
    return isinstance(value, list) and all(map(is_duration, value))


def is_ttl(value: object) -> bool:
    """A duration of at most four weeks."""
    match = DURATION.fullmatch(value) if isinstance(value, str) else None
    return match is not None and int(match[1]) <= MAX_TTL_S


def is_color(value: object) -> bool:
    """#rrggbb."""
    return isinstance(value, str) and COLOR.fullmatch(value) is not None


def is_label(value: object) -> bool:
    """An analytics label."""
    return isinstance(value, str) and LABEL.fullmatch(value) is not None


def one_of(*words: str) -> Check:
    """Return a check for an enumeration."""
    allowed = frozenset(words)
    return lambda value: isinstance(value, str) and value in allowed


FCM_OPTIONS: Schema = {"analytics_label": is_label}
NOTIFICATION: Schema = {"title": is_string, "body": is_string, "image": is_string}
LIGHT_COLOR: Schema = {"red": is_number, "green": is_number, "blue": is_number, "alpha": is_number}
LIGHTS: Schema = {"color": LIGHT_COLOR, "light_on_duration": is_duration, "light_off_duration": is_duration}
PRIORITIES = (
    "PRIORITY_UNSPECIFIED",
    "PRIORITY_MIN",
    "PRIORITY_LOW",
    "PRIORITY_DEFAULT",
    "PRIORITY_HIGH",
    "PRIORITY_MAX",
)
ANDROID_NOTIFICATION: Schema = {
    **dict.fromkeys(
        ("title", "body", "icon", "sound", "tag", "click_action", "body_loc_key", "title_loc_key", "channel_id"),
        is_string,
    ),
    **dict.fromkeys(("ticker", "image", "event_time"), is_string),
    **dict.fromkeys(("body_loc_args", "title_loc_args"), is_string_list),
    **dict.fromkeys(("sticky", "local_only", "default_sound", "default_vibrate_timings"), is_bool),
    **dict.fromkeys(("default_light_settings", "bypass_proxy_notification"), is_bool),
    "color": is_color,
    "notification_priority": one_of(*PRIORITIES),
    "vibrate_timings": is_durations,
    "visibility": one_of("VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"),
    "notification_count": is_int,
    "light_settings": LIGHTS,
    "proxy": one_of("PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
}
ANDROID: Schema = {
    "collapse_key": is_string,
    "priority": one_of("normal", "high", "NORMAL", "HIGH"),
    "ttl": is_ttl,
    "restricted_package_name": is_string,
    "data": is_string_map,
    "notification": ANDROID_NOTIFICATION,
    "fcm_options": FCM_OPTIONS,
    "direct_boot_ok": is_bool,
    "bandwidth_constrained_ok": is_bool,
    "restricted_satellite_ok": is_bool,
}
WEBPUSH: Schema = {
    "headers": is_string_map,
    "data": is_string_map,
    "notification": is_object,
    "fcm_options": {"link": is_string, "analytics_label": is_label},
}
APNS: Schema = {
    "headers": is_string_map,
    "payload": is_object,
    "fcm_options": {"analytics_label": is_label, "image": is_string},
    "live_activity_token": is_string,
}
MESSAGE: Schema = {
    "name": is_string,
    "data": is_string_map,
    "notification": NOTIFICATION,
    "android": ANDROID,
    "webpush": WEBPUSH,
    "apns": APNS,
    "fcm_options": FCM_OPTIONS,
    "token": is_string,
    "topic": is_string,
    "condition": is_string,
}
REQUEST: Schema = {"validate_only": is_bool, "message": MESSAGE}


def shape_violations(content: object, schema: Schema = REQUEST, path: str = "") -> Iterator[Violation]:
    """Yield what does not fit the schema; names may be snake_case or camelCase, as proto3 JSON allows."""
    if not isinstance(content, dict):
        yield Violation(path, f"Invalid value at '{path}', expected a JSON object.")
        return
    for name, value in content.items():
        field = f"{path}.{name}" if path else name
        rule = schema.get(snake_case(name))
        if rule is None:
            where = f" at '{path}'" if path else ""
            yield Violation(path, f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.')
        elif isinstance(rule, Mapping):
            yield from shape_violations(value, rule, field)
        elif not rule(value):
            yield Violation(field, f"Invalid value at '{field}'")


def data_violations(message: Mapping[str, object]) -> Iterator[Violation]:
    """Yield reserved keys of the data payloads."""
    for path, section in (("message.data", message), ("message.android.data", part(message, "android"))):
        for key in part(section, "data"):
            if RESERVED_DATA_KEY.fullmatch(key):
                yield Violation(path, f"Invalid data payload key: {key}")


def payload_size(message: Mapping[str, object]) -> int:
    """Return the bytes counted against the limit: keys and values of data and notification, Android's included."""
    android = part(message, "android")
    sections = (
        part(message, "data"),
        part(message, "notification"),
        part(android, "data"),
        part(android, "notification"),
    )
    return sum(len(str(text).encode()) for section in sections for pair in section.items() for text in pair)


def part(content: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return an object inside an object, {} when absent."""
    value = content.get(name)
    return value if isinstance(value, dict) else {}


@lru_cache(maxsize=512)
def snake_case(name: str) -> str:
    """`validateOnly` to `validate_only`."""
    return re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), name)
