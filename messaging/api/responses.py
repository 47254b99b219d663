"""Publish, status and cancel answers as they go out."""

from __future__ import annotations

from messaging.api.shapes import MessageStatusAnswer
from messaging.models import Message


def publish_result(message: Message) -> MessageStatusAnswer:
    """Always `scheduled`, in lower case: delivery is asynchronous (contract.md 2)."""
    return MessageStatusAnswer(error_message=None, message_id=message.wire_id, status="scheduled")


def push_result(message: Message) -> MessageStatusAnswer:
    """A push from a template answers in upper case (contract.md 3)."""
    return MessageStatusAnswer(error_message=None, message_id=message.wire_id, status="SCHEDULED")


def message_status(message: Message) -> MessageStatusAnswer:
    """The status in upper case (contract.md 3)."""
    return MessageStatusAnswer(message.error_message or None, message.wire_id, message.status)


def unknown_message(message_id: str) -> MessageStatusAnswer:
    """An id nobody gave out is no error: its status is UNKNOWN (seed 0)."""
    return MessageStatusAnswer(error_message=None, message_id=message_id, status="UNKNOWN")
