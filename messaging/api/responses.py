"""Publish, status and cancel answers as they go out: the only file that spells them."""

from __future__ import annotations

from messaging.models import Message


def publish_result(message: Message) -> dict[str, object]:
    """Always `scheduled`, in lower case: delivery is asynchronous (contract.md 2)."""
    return {"errorMessage": None, "messageId": message.wire_id, "status": "scheduled"}


def push_result(message: Message) -> dict[str, object]:
    """A push from a template answers in upper case (contract.md 3)."""
    return {"errorMessage": None, "messageId": message.wire_id, "status": "SCHEDULED"}


def message_status(message: Message) -> dict[str, object]:
    """The status in upper case (contract.md 3)."""
    return {
        "errorMessage": message.error_message or None,
        "messageId": message.wire_id,
        "status": message.status,
    }


def unknown_message(message_id: str) -> dict[str, object]:
    """An id nobody gave out is no error: its status is UNKNOWN (seed 0)."""
    return {"errorMessage": None, "messageId": message_id, "status": "UNKNOWN"}
