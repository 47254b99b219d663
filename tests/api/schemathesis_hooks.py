"""What a schema cannot say of a valid body: `schemathesis run` loads this, see test_schemathesis.py.

Only bodies meant to be valid are changed, and only where a rule joins two properties or a property and the clock.
"""

from __future__ import annotations

import json
from typing import Any

import schemathesis
from hypothesis import strategies as st

_INT64 = range(-(2**63), 2**63)
_LATER_MS, _STILL_LATER_MS = 4_000_000_000_000, 4_100_000_000_000
_P256_GENERATOR = "BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"
_SUBSCRIPTION = {
    "endpoint": "https://fcm.googleapis.com/fcm/send/abc",
    "keys": {"p256dh": _P256_GENERATOR, "auth": "AAAAAAAAAAAAAAAAAAAAAA"},
}
_TOKENS = {
    "IOS": "9f2c6d1b7a3e4850",
    "OSX": "9f2c6d1b7a3e4850",
    "ANDROID": "fcm-token_1:a.b",
    "WP": "https://db5p.notify.windows.com/w/abc",
    "WEB": json.dumps(_SUBSCRIPTION),
}

schemathesis.openapi.format("segment-query", st.sampled_from(["operatingSystemName = 'IOS'", "deviceId like 'a%'"]))
schemathesis.openapi.format("selector", st.sampled_from(["importance = 'high'", "foo > 10 and not (bar is null)"]))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Make a valid body obey the rules between its properties."""
    is_valid = case.meta is not None and case.meta.generation.mode.is_positive
    if is_valid and isinstance(case.body, dict):
        case.body = _storable(case.body)
        _obey(case.body)
        if str(case.path_parameters.get("name", "")).startswith("message"):  # ids answered before are no channels
            case.path_parameters["name"] = "default"


def _obey(body: dict[str, Any]) -> None:
    if body.get("os") in _TOKENS:
        body["deviceToken"] = _TOKENS[body["os"]]
    for name, moment in (("expiration", _LATER_MS), ("publishAt", _LATER_MS), ("repeatExpiresAt", _STILL_LATER_MS)):
        if body.get(name) is not None:
            body[name] = moment
    for name, limit in (("message", 500), ("headers", 1_000)):  # a payload holds 4 KB
        if len(json.dumps(body.get(name)).encode()) > limit:
            body.pop(name)


def _storable(value: Any) -> Any:
    """Integers of 64 bits, as the description demands."""
    if isinstance(value, dict):
        return {name: _storable(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_storable(entry) for entry in value]
    return 0 if isinstance(value, int) and not isinstance(value, bool) and value not in _INT64 else value
