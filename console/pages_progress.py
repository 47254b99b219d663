"""The moving part of a message's page: its state with since when and why, its ledger, its pace, its failures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Count, Min, Q, Sum

from console.pages import WorkersView, workers_view
from console.pages_messages import State, state_of
from console.reasons import Explanation, explain
from devices.models import Application
from devices.push_services import PushService
from messaging import database
from messaging.control import RETRYABLE
from messaging.ledger import FailureGroup, Ledger, failure_groups, ledger_by_service, ledgers_of
from messaging.models import Batch, BatchState, Lane, LaneState, Message, MessageStatus, Occurrence, OccurrenceState

#: the rate shown is that of the last so many seconds
_RATE_OVER_S = 10.0
_FIRINGS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """Devices with an outcome at a moment. A page collects them: each poll carries those of the last ten seconds."""

    at: datetime
    settled: int


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
    rate: float | None  #: devices a second, None when not known yet
    left: timedelta | None  #: time to the end at that rate; None while something holds devices up
    failures: list[ExplainedFailure]
    was_retried: bool  #: a retry has some of the failed devices in hand, or has reached them
    samples: list[Sample]
    now: datetime

    @property
    def is_over(self) -> bool:
        """Nothing on the page will change any more."""
        return self.occurrence.closed_at is not None

    @property
    def is_started(self) -> bool:
        """The audience has begun to be resolved."""
        return self.occurrence.claimed_at is not None

    @property
    def is_series(self) -> bool:
        """More firings may come after this one."""
        return self.message.repeat_every is not None or bool(self.message.cron)

    @property
    def may_pause(self) -> bool:
        """Requests may be leaving."""
        return self._is_under_way and self.occurrence.paused_at is None

    @property
    def may_resume(self) -> bool:
        """Somebody paused it."""
        return self._is_under_way and self.occurrence.paused_at is not None

    @property
    def may_stop(self) -> bool:
        """This firing can be ended without the message: one of a series, or a retry."""
        is_part = self.is_series or self.occurrence.retry_no > 0
        return is_part and not self.is_over and self.occurrence.state != OccurrenceState.CANCELLED

    @property
    def retryable(self) -> int:
        """Devices that failed in a way that another try may mend."""
        if not self.is_over:
            return 0
        return sum(failure.group.devices for failure in self.failures if failure.is_retryable)

    @property
    def key(self) -> str:
        """Names the firing in an address."""
        return f"n={self.occurrence.n}&retry={self.occurrence.retry_no}"

    @property
    def seen(self) -> str:
        """The samples as the next poll carries them."""
        return "_".join(f"{sample.at.timestamp():.2f}-{sample.settled}" for sample in self.samples)

    @property
    def _is_under_way(self) -> bool:
        is_sending = self.occurrence.state in (OccurrenceState.PLANNING, OccurrenceState.SENDING)
        return is_sending and not self.is_over


@dataclass(frozen=True, slots=True)
class ExplainedFailure:
    """Devices that ended alike, and what that means."""

    group: FailureGroup
    explanation: Explanation
    share: int  #: percent of the targeted devices

    @property
    def is_retryable(self) -> bool:
        """Whether "retry" sends to them."""
        return self.group.outcome in RETRYABLE


@dataclass(frozen=True, slots=True)
class Firing:
    """One firing or retry of a message, with its own numbers."""

    occurrence: Occurrence
    state: State
    ledger: Ledger


def firings_of(message: Message) -> list[Firing]:
    """The latest firings and retries, newest first; two queries."""
    occurrences = list(message.occurrences.order_by("-n", "-retry_no")[:_FIRINGS_SHOWN])
    ledgers = ledgers_of(occurrences)
    return [
        Firing(occurrence, state_of(message, occurrence, ledgers[occurrence.pk]), ledgers[occurrence.pk])
        for occurrence in occurrences
    ]


def samples_of(text: str | None) -> list[Sample]:
    """What a poll carries; anything unreadable is left out."""
    found = re.findall(r"(\d{9,10}\.\d\d)-(\d{1,9})(?:_|$)", (text or "")[:1_000], flags=re.ASCII)
    return [Sample(datetime.fromtimestamp(float(at), UTC), int(settled)) for at, settled in found]


def progress_of(
    message: Message, occurrence: Occurrence, application: Application, samples: list[Sample] | None = None
) -> Progress:
    """The moving part of the page; `samples` of earlier polls give the rate."""
    now = database.now()
    by_service = ledger_by_service(occurrence)
    ledger = _whole(occurrence, by_service)
    workers = workers_view(application)
    recent = [sample for sample in samples or [] if 0 < (now - sample.at).total_seconds() <= _RATE_OVER_S]
    recent.append(Sample(now, ledger.targeted - ledger.pending))
    rate = _average(occurrence, ledger) if occurrence.closed_at is not None else _rate(recent)
    why = _why(message, occurrence, ledger, workers) or _held_up(occurrence, application, by_service, now)
    return Progress(
        message=message,
        occurrence=occurrence,
        state=state_of(message, occurrence, ledger),
        since=_since(occurrence),
        why=why,
        ledger=ledger,
        by_service=list(by_service.items()),
        rate=rate,
        left=timedelta(seconds=ledger.pending / rate) if rate and ledger.pending and not why else None,
        failures=_explained(occurrence, ledger),
        was_retried=_was_retried(occurrence),
        samples=recent,
        now=now,
    )


def _was_retried(occurrence: Occurrence) -> bool:
    retries = Occurrence.objects.filter(message=occurrence.message_id, n=occurrence.n)
    return occurrence.closed_at is not None and retries.filter(retry_no__gt=occurrence.retry_no).exists()


def _whole(occurrence: Occurrence, by_service: dict[PushService, Ledger]) -> Ledger:
    """One reading of the batches serves the total and its parts, so that the table on the page adds up."""
    parts: list[Ledger | Occurrence] = [occurrence] if occurrence.closed_at is not None else [*by_service.values()]
    return Ledger(
        targeted=sum(part.targeted for part in parts),
        accepted=sum(part.accepted for part in parts),
        failed=sum(part.failed for part in parts),
        skipped=sum(part.skipped for part in parts),
    )


def _average(occurrence: Occurrence, ledger: Ledger) -> float | None:
    """Outcomes a second from the first request to the last outcome."""
    begin, end = occurrence.first_request_at, occurrence.last_outcome_at
    settled = ledger.targeted - ledger.pending
    if begin is None or end is None or not settled:
        return None
    return settled / max((end - begin).total_seconds(), 0.1)


def _rate(samples: list[Sample]) -> float | None:
    """Outcomes a second over the samples; None before there are two."""
    first, last = samples[0], samples[-1]
    seconds = (last.at - first.at).total_seconds()
    return max(0, last.settled - first.settled) / seconds if seconds > 0.5 else None


def _since(occurrence: Occurrence) -> datetime:
    moments = (occurrence.closed_at, occurrence.paused_at, occurrence.first_request_at, occurrence.claimed_at)
    return next((moment for moment in moments if moment is not None), occurrence.due_at)


def _why(message: Message, occurrence: Occurrence, ledger: Ledger, workers: WorkersView) -> str:
    if occurrence.state == OccurrenceState.SKIPPED:
        return _SKIPPED.get(occurrence.skip_reason, occurrence.skip_reason)
    if occurrence.closed_at is not None:
        return _end_reason(message, occurrence, ledger)
    if occurrence.state == OccurrenceState.CANCELLED:
        return "Devices already on the wire still get their answer."
    if occurrence.paused_at is not None:
        return "Nothing leaves until somebody resumes it."
    if workers.is_stalled:
        return "No worker is running. It goes on as soon as one starts."
    if occurrence.state == OccurrenceState.SCHEDULED:
        return ""
    return "" if ledger.targeted or occurrence.planned_at is None else "No device matched."


_SKIPPED = {
    "missed": "Nobody was there to send it at its time.",
    "overlap": "The firing before it was still being sent.",
}


def _end_reason(message: Message, occurrence: Occurrence, ledger: Ledger) -> str:
    if message.error_message and message.status == MessageStatus.FAILED:
        return message.error_message
    if occurrence.state == OccurrenceState.CANCELLED:
        was_left_out = message.status != MessageStatus.CANCELLED and occurrence.claimed_at is None
        early = "Somebody left it out before its time." if was_left_out else "It was cancelled before anything left."
        return "" if ledger.targeted else early
    return "" if ledger.targeted else "No device matched the audience, so no push went out."


def _held_up(
    occurrence: Occurrence, application: Application, by_service: dict[PushService, Ledger], now: datetime
) -> str:
    """Why devices are still pending: lanes that are closed, or retries whose time has not come."""
    waiting = [service for service, ledger in by_service.items() if ledger.pending]
    if not waiting:
        return ""
    closed = Q(state=LaneState.PAUSED) | Q(state=LaneState.THROTTLED, throttled_until__gt=now)
    lanes = Lane.objects.filter(closed, application=application, push_service__in=waiting)
    lines = []
    for lane in lanes.order_by("push_service", "origin")[:3]:
        if lane.state == LaneState.PAUSED:
            lines.append(f"{lane} is paused: {lane.paused_because}")
        elif lane.throttled_until is not None:
            lines.append(f"{lane} asked to wait until {lane.throttled_until:%H:%M:%S} UTC.")
    return " ".join(lines) or _waiting_for_retry(occurrence, now)


def _waiting_for_retry(occurrence: Occurrence, now: datetime) -> str:
    later = Q(state=BatchState.WAITING, due_at__gt=now, tries__gt=0)
    counts = (
        Batch.objects.filter(occurrence=occurrence)
        .exclude(state=BatchState.DONE)
        .aggregate(
            others=Count("pk", filter=~later),
            devices=Sum("targeted", filter=later)
            - Sum("accepted", filter=later)
            - Sum("failed", filter=later)
            - Sum("skipped", filter=later),
            soonest=Min("due_at", filter=later),
        )
    )
    if counts["others"] or not counts["devices"]:
        return ""
    verb = "device waits" if counts["devices"] == 1 else "devices wait"
    return f"{counts['devices']:,} {verb} for another try, next at {counts['soonest']:%H:%M:%S} UTC."


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
