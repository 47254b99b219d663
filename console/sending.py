"""Publish what a form says, once per form, however often and from however many tabs it is sent."""

from __future__ import annotations

import hashlib
from dataclasses import replace

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

    A form that was changed meanwhile (Back, another text, Send) is another message. Raises what `publish` raises.
    """
    submit = hashlib.sha256(f"{form_token} {publish_request!r}".encode()).hexdigest()
    with transaction.atomic():
        _wait_for_turn(request.session)
        sent = _sent_forms(request.session)
        if submit in sent:
            return request.application.messages.get(message_id=sent[submit])
        message = publish(application=request.application, request=publish_request, publisher=publisher_of(request))
        audit.record(
            request,
            "message.publish",
            message.wire_id,
            application=request.application,
            after=as_json(publish_request) | {"channel": message.channel_name},
        )
        kept = list(sent.items())[1 - _REMEMBERED :]
        request.session[_KEY] = dict([*kept, (submit, str(message.message_id))])
        request.session.save()  # now, not after the answer: the second of two clicks reads it once the lock is free
        request.session.modified = False  # saved again after the answer, it would undo what another tab noted
    return message


def save_edit(request: ConsoleRequest, message: Message, publish_request: PublishRequest, seen_version: int) -> None:
    """Change a message that has not begun; what the form has no field for stays. Raises what `edit` raises."""
    stored = request_of(message)
    before = as_json(stored)
    publish_request = replace(publish_request, publisher_id=stored.publisher_id, subtopic=stored.subtopic)
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


def _wait_for_turn(session: SessionBase) -> None:
    """One form of a session at a time: all of them are noted in the same row."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"console {session.session_key}"])


def _sent_forms(session: SessionBase) -> dict[str, str]:
    """As stored now: this request's own copy may be older than the lock."""
    stored = type(session)(session.session_key)
    sent: dict[str, str] = stored.get(_KEY, {})
    return sent
