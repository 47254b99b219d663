"""Who did what in an application, newest first, in words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from console.models import AuditEntry
from console.pages_messages import TRIAL_PUBLISHER
from devices.models import Application
from messaging.models import Message
from messaging.rendering import body_text

PAGE_LENGTH = 50
_WORDS = {
    "message.publish": "Published",
    "message.edit": "Changed",
    "message.cancel": "Cancelled",
    "message.pause": "Paused",
    "message.resume": "Resumed",
    "message.stop": "Stopped",
    "message.retry": "Retried the failed devices of",
    "message.export": "Exported the devices of",
    "device.deactivate": "Deactivated the device",
    "lane.pause": "Paused sending through",
    "lane.resume": "Resumed sending through",
    "lane.pace": "Set the pace of",
    "credential.set": "Set the credential of",
    "credential.check": "Checked the credential of",
    "api_key.create": "Made the API key",
    "api_key.revoke": "Revoked the API key",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """Something a person did."""

    at: datetime
    actor: str
    address: str
    what: str
    subject: str
    message_id: UUID | None  #: of the message it was done to
    text: str  #: what that message says
    before: str  #: JSON, "" where there is none
    after: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    """One page of it."""

    rows: list[AuditRow]
    next_before: int | None  #: key of the next page, None at the end


def audit_page(application: Application, *, search: str = "", before: int | None = None) -> AuditPage:
    """Entries of one person, of one message or device, or all. Two queries."""
    query = AuditEntry.objects.filter(application_id=application.pk)
    if search:
        query = query.filter(Q(actor=search) | Q(subject__iexact=search) | Q(subject__iexact=f"message:{search}"))
    if before is not None:
        query = query.filter(pk__lt=before)
    entries = list(query.order_by("-pk")[: PAGE_LENGTH + 1])
    shown = entries[:PAGE_LENGTH]
    ids = {entry.pk: _message_id(entry) for entry in shown}
    found = application.messages.filter(message_id__in=[key for key in ids.values() if key is not None])
    messages = {message.message_id: message for message in found.only("message_id", "body", "publisher_id")}
    rows = [_row(entry, ids[entry.pk], messages) for entry in shown]
    return AuditPage(rows, shown[-1].pk if len(entries) > PAGE_LENGTH else None)


def _row(entry: AuditEntry, message_id: UUID | None, messages: dict[UUID, Message]) -> AuditRow:
    message = None if message_id is None else messages.get(message_id)
    is_trial = message is not None and message.publisher_id == TRIAL_PUBLISHER and entry.action == "message.publish"
    return AuditRow(
        at=entry.at,
        actor=entry.actor,
        address=entry.address or "",
        what="Tested on a few devices" if is_trial else _WORDS.get(entry.action, entry.action),
        subject=entry.subject,
        message_id=message_id,
        text="" if message is None else body_text(message.body),
        before=_json(entry.before),
        after=_json(entry.after),
    )


def _message_id(entry: AuditEntry) -> UUID | None:
    if not entry.action.startswith("message."):
        return None
    try:
        return UUID(entry.subject.removeprefix("message:"))
    except ValueError:
        return None


def _json(value: object) -> str:
    return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)
