"""Publish what a form says, once per form, however often and from however many tabs it is sent."""

from __future__ import annotations

from django.contrib.sessions.backends.base import SessionBase
from django.db import connection, transaction

from console import audit
from console.access import publisher_of
from console.htmx import ConsoleRequest
from console.pages_compose import as_json
from messaging.models import Message
from messaging.publishing import PublishRequest, edit, publish, request_of

#: forms a session remembers having sent; a form older than twenty others is not sent twice by a double click
_REMEMBERED = 20
_KEY = "sent_forms"


def send_once(request: ConsoleRequest, form_token: str, publish_request: PublishRequest) -> Message:
    """The message of this form: published now, or the one an earlier submit of it has published.

    Raises what `publish` raises.
    """
    with transaction.atomic():
        _wait_for_turn(form_token)
        sent = _sent_forms(request.session)
        if form_token in sent:
            return request.application.messages.get(message_id=sent[form_token])
        message = publish(application=request.application, request=publish_request, publisher=publisher_of(request))
        audit.record(
            request,
            "message.publish",
            message.wire_id,
            application=request.application,
            after=as_json(publish_request) | {"channel": message.channel_name},
        )
        kept = list(sent.items())[1 - _REMEMBERED :]
        request.session[_KEY] = dict([*kept, (form_token, str(message.message_id))])
        request.session.save()  # now, not after the answer: the second of two clicks reads it once the lock is free
    return message


def save_edit(request: ConsoleRequest, message: Message, publish_request: PublishRequest, seen_version: int) -> None:
    """Change a message that has not begun. Raises what `edit` raises."""
    before = as_json(request_of(message))
    with transaction.atomic():
        edit(message, publish_request, publisher=publisher_of(request), seen_version=seen_version)
        audit.record(
            request,
            "message.edit",
            message.wire_id,
            application=request.application,
            before=before,
            after=as_json(publish_request) | {"channel": message.channel_name},
        )


def _wait_for_turn(form_token: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"console form {form_token}"])


def _sent_forms(session: SessionBase) -> dict[str, str]:
    """As stored now: this request's own copy may be older than the lock."""
    stored = type(session)(session.session_key)
    sent: dict[str, str] = stored.get(_KEY, {})
    return sent
