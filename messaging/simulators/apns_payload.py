"""What an APNs payload must hold for its push type (Apple, "Generating a remote notification")."""

from __future__ import annotations

PUSH_TYPES = frozenset(
    {
        "alert",
        "background",
        "complication",
        "controls",
        "fileprovider",
        "liveactivity",
        "location",
        "mdm",
        "pushtotalk",
        "voip",
        "widgets",
    }
)
VISIBLE_KEYS = ("alert", "badge", "sound")


def payload_fault(payload: object, push_type: str, priority: str) -> str:
    """Return Apple's reason for refusing a decoded payload, "" when there is none.

    Apple's page says only that a mismatch of push type and payload "may" be refused, delayed or dropped; here it is
    always refused, so that it cannot go unseen. JSON it cannot read has no reason of its own: PayloadEmpty.
    """
    aps = payload.get("aps") if isinstance(payload, dict) else None
    if not isinstance(aps, dict):
        return "PayloadEmpty"
    if not _has_right_types(aps):
        return "PayloadEmpty"
    is_silent = aps.get("content-available") == 1 and not any(key in aps for key in VISIBLE_KEYS)
    if push_type == "background":
        return _background_fault(is_silent, priority)
    if push_type and push_type not in PUSH_TYPES:
        return "InvalidPushType"
    is_alert = push_type in ("", "alert")
    return "InvalidPushType" if is_alert and (is_silent or not any(key in aps for key in VISIBLE_KEYS)) else ""


def _background_fault(is_silent: bool, priority: str) -> str:
    if priority != "5":
        return "BadPriority"
    return "" if is_silent else "InvalidPushType"


def _has_right_types(aps: dict[str, object]) -> bool:
    badge = aps.get("badge", 0)
    return (
        isinstance(aps.get("alert", ""), str | dict)
        and isinstance(aps.get("sound", ""), str | dict)
        and isinstance(badge, int)
        and not isinstance(badge, bool)
        and aps.get("content-available", 1) in (0, 1)
        and aps.get("mutable-content", 1) in (0, 1)
        and isinstance(aps.get("thread-id", ""), str)
    )
