"""The status page of one message: its state with since when and why, its ledger, its failures, its history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from console.models import AuditEntry
from console.pages import WorkersView, workers_view
from console.pages_compose import Payload, payloads_of
from console.pages_messages import State, author_of, state_of
from console.reasons import Explanation, explain
from devices.models import Application
from devices.push_services import Os, PushService
from messaging import database
from messaging.ledger import FailureGroup, Ledger, failure_groups, ledger_by_service
from messaging.models import Lane, LaneState, Message, MessageStatus, Occurrence, OccurrenceState
from messaging.publishing import request_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What moves while a message is being sent. Polled each second."""

    message: Message
    occurrence: Occurrence
    state: State
    since: datetime
    why: str
    ledger: Ledger
    by_service: list[tuple[PushService, Ledger]]
    rate: float | None  #: devices a second, None before the first outcome
    left: timedelta | None  #: time to the end at that rate
    failures: list[ExplainedFailure]
    now: datetime

    @property
    def is_over(self) -> bool:
        """Nothing on the page will change any more."""
        return self.occurrence.closed_at is not None

    @property
    def is_started(self) -> bool:
        """The audience has begun to be resolved."""
        return self.occurrence.claimed_at is not None


@dataclass(frozen=True, slots=True)
class ExplainedFailure:
    """Devices that ended alike, and what that means."""

    group: FailureGroup
    explanation: Explanation
    share: int  #: percent of the targeted devices


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the timeline."""

    at: datetime
    what: str
    by: str = ""


def shown_occurrence(message: Message, n: int | None) -> Occurrence | None:
    """The firing asked for, else the newest."""
    occurrences = message.occurrences.order_by("-n")
    return occurrences.filter(n=n).first() if n is not None else occurrences.first()


def progress_of(message: Message, occurrence: Occurrence, application: Application) -> Progress:
    """The moving part of the page."""
    now = database.now()
    by_service = ledger_by_service(occurrence)
    ledger = _whole(occurrence, by_service)
    workers = workers_view(application)
    rate = _rate(occurrence, ledger, now)
    return Progress(
        message=message,
        occurrence=occurrence,
        state=state_of(message, occurrence, ledger),
        since=_since(occurrence),
        why=_why(message, occurrence, ledger, workers) or _held_up(application, by_service),
        ledger=ledger,
        by_service=list(by_service.items()),
        rate=rate,
        left=timedelta(seconds=ledger.pending / rate) if rate and ledger.pending else None,
        failures=_explained(occurrence, ledger),
        now=now,
    )


def _whole(occurrence: Occurrence, by_service: dict[PushService, Ledger]) -> Ledger:
    """One reading of the batches serves the total and its parts, so that the table on the page adds up."""
    parts: list[Ledger | Occurrence] = [occurrence] if occurrence.closed_at is not None else [*by_service.values()]
    return Ledger(
        targeted=sum(part.targeted for part in parts),
        accepted=sum(part.accepted for part in parts),
        failed=sum(part.failed for part in parts),
        skipped=sum(part.skipped for part in parts),
    )


def _rate(occurrence: Occurrence, ledger: Ledger, now: datetime) -> float | None:
    """Outcomes a second from the first request to the last outcome."""
    begin = occurrence.first_request_at
    end = occurrence.last_outcome_at if occurrence.closed_at is not None else now
    settled = ledger.targeted - ledger.pending
    if begin is None or end is None or not settled:
        return None
    return settled / max((end - begin).total_seconds(), 0.1)


def _since(occurrence: Occurrence) -> datetime:
    return occurrence.closed_at or occurrence.first_request_at or occurrence.claimed_at or occurrence.due_at


def _why(message: Message, occurrence: Occurrence, ledger: Ledger, workers: WorkersView) -> str:
    if occurrence.state == OccurrenceState.SKIPPED:
        return occurrence.skip_reason
    if occurrence.closed_at is not None:
        return _end_reason(message, ledger)
    if message.status == MessageStatus.CANCELLED:
        return "Devices already on the wire still get their answer."
    if workers.is_stalled:
        return "No worker is running. It goes on as soon as one starts."
    if occurrence.state == OccurrenceState.SCHEDULED:
        return ""
    return "" if ledger.targeted or occurrence.planned_at is None else "No device matched."


def _end_reason(message: Message, ledger: Ledger) -> str:
    if message.error_message:
        return message.error_message
    return "" if ledger.targeted else "No device matched the audience, so no push went out."


def _held_up(application: Application, by_service: dict[PushService, Ledger]) -> str:
    """Why devices are still pending: lanes that are closed for a while or until somebody acts."""
    waiting = [service for service, ledger in by_service.items() if ledger.pending]
    if not waiting:
        return ""
    lanes = Lane.objects.filter(application=application, push_service__in=waiting).exclude(state=LaneState.OPEN)
    lines = []
    for lane in lanes.order_by("push_service", "origin")[:3]:
        if lane.state == LaneState.PAUSED:
            lines.append(f"{lane} is paused: {lane.paused_because}")
        elif lane.throttled_until is not None:
            lines.append(f"{lane} asked to wait until {lane.throttled_until:%H:%M:%S} UTC.")
    return " ".join(lines)


def _explained(occurrence: Occurrence, ledger: Ledger) -> list[ExplainedFailure]:
    if not ledger.failed and not ledger.skipped:
        return []
    return [
        ExplainedFailure(
            group,
            explain(group.push_service, group.outcome, group.reason, group.http_status),
            round(100 * group.devices / max(ledger.targeted, 1)),
        )
        for group in failure_groups(occurrence)
    ]


def payloads_sent(message: Message, application: Application) -> list[Payload]:
    """The exact payload per push service."""
    request = request_of(message)
    oses = request.target_oses()
    _, payloads = payloads_of(request, application, tuple(Os) if oses is None else oses, message.wire_id)
    return payloads


_WORDS = {
    "message.publish": "Published in the console",
    "message.cancel": "Cancelled",
}


def timeline_of(message: Message, occurrence: Occurrence, application: Application) -> list[Event]:
    """What happened, oldest first."""
    audited = AuditEntry.objects.filter(application_id=application.pk, subject=message.wire_id).order_by("id")[:50]
    events = [Event(entry.at, _WORDS.get(entry.action, entry.action), entry.actor) for entry in audited]
    if not any(event.what == _WORDS["message.publish"] for event in events):
        events.append(Event(message.created_at, "Published", author_of(message)))
    moments = (
        (occurrence.due_at, "Due"),
        (occurrence.claimed_at, "Claimed, audience frozen"),
        (occurrence.planned_at, "Audience resolved"),
        (occurrence.first_request_at, "First request left"),
        (occurrence.closed_at, "Nothing pending"),
    )
    events += [Event(at, what) for at, what in moments if at is not None]
    return sorted(events, key=lambda event: event.at)


def may_cancel(message: Message) -> bool:
    """Whether cancelling would change anything."""
    return message.status == MessageStatus.SCHEDULED
