"""Publish, status and cancel over HTTP: parse, call one step, answer."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest

from devices.api.user_requests import current_user
from devices.api_keys import Caller
from devices.errors import PermissionMissing
from devices.json_input import read_json_object
from messaging import publishing
from messaging.api import responses
from messaging.api.idempotent import Asked, published
from messaging.api.publishers import publisher_of
from messaging.api.requests import MAX_BODY_BYTES, MORE_WITH, parse_publish_request
from messaging.api.shapes import MessageStatusAnswer
from messaging.errors import CannotCancel
from messaging.models import Message


def publish(caller: Caller, request: HttpRequest, name: str) -> object:
    """POST <channel> (seeds 0 to 2)."""
    publisher = publisher_of(caller, request, name)
    body = read_json_object(request, max_bytes=MAX_BODY_BYTES, more_with=MORE_WITH)
    wanted = parse_publish_request(name, body)
    if wanted.push_singlecast is not None:
        # named devices are reached whatever their channel: a grant for this channel alone does not cover them
        publisher_of(caller, request, "")
    return published(
        caller,
        request,
        Asked(f"channel/{name}", body),
        lambda: publishing.publish(application=caller.application, request=wanted, publisher=publisher),
        responses.publish_result,
    )


def status(caller: Caller, request: HttpRequest, name: str) -> MessageStatusAnswer:
    """GET <messageId>."""
    if not caller.api_key.may_read:
        raise PermissionMissing("This API key may not read the status of messages.")
    current_user(caller, request)
    message = _find(caller, name)
    return responses.unknown_message(name) if message is None else responses.message_status(message)


def cancel(caller: Caller, request: HttpRequest, name: str) -> MessageStatusAnswer:
    """DELETE <messageId>. Raises CannotCancel (5040)."""
    message = _find(caller, name)
    publisher_of(caller, request, "" if message is None else message.channel_name)
    if message is None:
        raise CannotCancel()
    publishing.cancel(message)
    return responses.message_status(message)


def _find(caller: Caller, message_id: str) -> Message | None:
    """The application's message with this wire id, `message:` being optional and letter case free."""
    try:
        uuid = UUID(message_id.lower().removeprefix("message:"))
    except ValueError:
        return None
    return Message.objects.filter(application=caller.application, message_id=uuid).first()
