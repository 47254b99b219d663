"""What stands still on the page of one message: which firing it shows, its payloads, its history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from console.forms import form_can_say
from console.models import AuditEntry
from console.pages_compose import Frame, Payload, frames_of, payloads_of
from console.pages_messages import LATEST_FIRST, author_of
from devices.models import Application
from devices.push_services import Os
from messaging.models import Message, MessageStatus, Occurrence, OccurrenceState
from messaging.publishing import request_of

_LARGEST = 2**31 - 1  #: integer


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the timeline."""

    at: datetime
    what: str
    by: str = ""


def shown_occurrence(message: Message, n: int | None, retry_no: int = 0) -> Occurrence | None:
    """The firing or retry asked for, else the latest."""
    if n is None:
        return message.occurrences.order_by(*LATEST_FIRST).first()
    return message.occurrences.filter(n=min(n, _LARGEST), retry_no=min(retry_no, _LARGEST)).first()


def looks_and_payloads(message: Message, application: Application) -> tuple[list[Frame], list[Payload]]:
    """What people see on each operating system, and the exact payload per push service."""
    request = request_of(message)
    oses = request.target_oses()
    shown = tuple(Os) if oses is None else oses
    rendered, payloads = payloads_of(request, application, shown, message.wire_id)
    return frames_of(rendered, shown), payloads


_WORDS = {
    "message.publish": "Published in the console",
    "message.cancel": "Cancelled",
    "message.edit": "Changed",
    "message.pause": "Paused",
    "message.resume": "Resumed",
    "message.stop": "Stopped",
    "message.retry": "Failed devices retried",
    "message.export": "Devices exported",
}


def timeline_of(message: Message, occurrence: Occurrence, application: Application) -> list[Event]:
    """What happened, oldest first."""
    audited = AuditEntry.objects.filter(application_id=application.pk, subject=message.wire_id).order_by("id")[:50]
    # the entry of a publish is written last, after the message was due
    events = [
        Event(
            message.created_at if entry.action == "message.publish" else entry.at,
            _WORDS.get(entry.action, entry.action),
            entry.actor,
        )
        for entry in audited
    ]
    if not any(event.what == _WORDS["message.publish"] for event in events):
        events.append(Event(message.created_at, "Published", author_of(message)))
    moments = [
        (occurrence.due_at, "Due"),
        (occurrence.claimed_at, "Claimed, audience frozen"),
        (occurrence.planned_at, "Audience resolved"),
        (occurrence.first_request_at, "First request left"),
        (occurrence.closed_at, "Nothing pending"),
    ]
    # left out or cancelled before its time: closed, but nothing was resolved
    happened = moments if occurrence.claimed_at is not None else moments[:1]
    events += [Event(at, what) for at, what in happened if at is not None]
    return sorted(events, key=lambda event: event.at)


def may_cancel(message: Message) -> bool:
    """Whether cancelling would change anything."""
    return message.status == MessageStatus.SCHEDULED


def may_clone(message: Message) -> bool:
    """Whether the compose form can say all of it."""
    return form_can_say(request_of(message))


def may_edit(message: Message, occurrence: Occurrence | None) -> bool:
    """Whether the compose form can say all of it and nothing has begun."""
    is_waiting = occurrence is not None and occurrence.state == OccurrenceState.SCHEDULED and occurrence.n == 1
    return message.status == MessageStatus.SCHEDULED and is_waiting and may_clone(message)
