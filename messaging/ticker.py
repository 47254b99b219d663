"""Claim what is due and ring for what is open, on the database's clock. Any number of tickers may run.

The tables say what is to do; a lost or doubled ring changes nothing, since every job claims its row first.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

from messaging import batches, closing, database, heartbeat, queue
from messaging.models import Batch, BatchState, Message, MessageStatus, Occurrence, OccurrenceState
from messaging.publishing import following, series_of
from messaging.realtime import bus
from messaging.schedule import Firing, Series

logger = logging.getLogger(__name__)

TICK_S = 0.25
_SWEEP_EVERY_S = 1.0
_BEAT_EVERY_S = 5.0
_CLAIM_LIMIT = 100
#: a firing missed by more than this is recorded, not sent (reliability.md P8)
MAX_LATENESS = timedelta(hours=1)
#: a firing that was due before its series ended may start this much after the end, no more
_START_LAG = timedelta(seconds=2)
_DATABASE_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class _Claim:
    """A firing to start, or to skip for a reason, and the one of its series that follows."""

    occurrence: Occurrence
    skip_reason: str
    upcoming: list[Occurrence]  #: one, or none at the end


class Ticker:
    """One ticker process."""

    def __init__(self) -> None:
        self.name = heartbeat.new_name("ticker")
        self._listener: psycopg.Connection | None = None
        self._swept_at = self._beat_at = 0.0

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Tick until told to stop, waiting for the database whenever it is away."""
        while not should_stop():
            try:
                self._beat()
                self.tick()
                self._wait()
            except (DatabaseError, psycopg.Error) as error:
                logger.warning("the database is away: %s", type(error).__name__)
                self._forget_connections()
                time.sleep(_DATABASE_WAIT_S)
        heartbeat.withdraw(self.name)
        self._forget_connections()

    def tick(self) -> None:
        """Claim what is due and ring for work; once a second also mend."""
        while claim_due() == _CLAIM_LIMIT:
            pass
        ring_for_work()
        now = time.monotonic()
        if now - self._swept_at >= _SWEEP_EVERY_S:
            self._swept_at = now
            sweep()

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._beat_at >= _BEAT_EVERY_S:
            self._beat_at = now
            heartbeat.announce(self.name, kind="ticker")
            database.end_stuck_copies()

    def _wait(self) -> None:
        """Until something is published or a quarter of a second has passed."""
        if self._listener is None or self._listener.closed:
            self._listener = database.listening_connection(queue.TICKER_CHANNEL)
        for _ in self._listener.notifies(timeout=TICK_S, stop_after=1):
            pass

    def _forget_connections(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        connection.close()
        close_old_connections()


def claim_due() -> int:
    """Start the occurrences that are due, at most 100; how many. SKIP LOCKED: each is claimed by one ticker."""
    if not _is_any_due():
        return 0
    with transaction.atomic():
        database.hold_locks_briefly()
        claims = [_judge(row) for row in _due_and_free()[:_CLAIM_LIMIT]]
        Occurrence.objects.bulk_create(one for claim in claims for one in claim.upcoming)
        by_reason: dict[str, list[int]] = defaultdict(list)
        for claim in claims:
            by_reason[claim.skip_reason].append(claim.occurrence.pk)
        starting = by_reason.pop("", [])
        Occurrence.objects.filter(pk__in=starting).update(state=OccurrenceState.PLANNING, claimed_at=Now())
        for reason, pks in by_reason.items():
            _skip(pks, reason)
    return len(claims)


def _is_any_due() -> bool:
    """Asked by every ticker whenever one of them is woken: the query below costs ten times as much to build."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM messaging_occurrence "
            "WHERE state = 'scheduled' AND due_at <= statement_timestamp())"
        )
        (is_due,) = cursor.fetchone()
    return bool(is_due)


def _due_and_free() -> QuerySet[Occurrence]:
    """Locked, oldest first, each with what its series and its fate depend on."""
    firings = Occurrence.objects.order_by().filter(message=OuterRef("message"))
    # without those that wait, which come later, a series of a year is not searched for the one that is open
    open_before = firings.filter(n__lt=OuterRef("n"), closed_at=None).exclude(state=OccurrenceState.SCHEDULED)
    return (
        Occurrence.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("message")
        .filter(state=OccurrenceState.SCHEDULED, due_at__lte=Now())
        .annotate(
            now=Now(),
            first_due=Subquery(firings.filter(n=1, retry_no=0).values("due_at")),
            is_still_sending=Exists(open_before),
        )
        .order_by("due_at")
    )


def _judge(row: Any) -> _Claim:
    """What becomes of a row of the query above."""
    occurrence: Occurrence = row
    upcoming: list[Occurrence] = []
    reason = ""
    series = series_of(occurrence.message, row.first_due)
    if series is not None:
        occurrence = _newest_due(occurrence, series, row.now)
        upcoming = following(occurrence, series)
        if row.now - occurrence.due_at > MAX_LATENESS or _is_over(occurrence.message, row.now):
            reason = "missed"
        elif row.is_still_sending:
            reason = "overlap"
    if reason != "missed":  # live subscribers need not care that pushes of the last firing are still being sent
        bus.announce_due(occurrence.message, occurrence)
    return _Claim(occurrence, reason, upcoming)


def _is_over(message: Message, now: datetime) -> bool:
    return message.repeat_expires_at is not None and now >= message.repeat_expires_at + _START_LAG


def _newest_due(occurrence: Occurrence, series: Series, now: datetime) -> Occurrence:
    """The newest firing that is due; the ones before it are recorded as missed (reliability.md P8)."""
    due = series.missed(Firing(occurrence.n, occurrence.due_at), now)
    if due[-1].n == occurrence.n:
        return occurrence
    _skip([occurrence.pk], "missed")
    created = Occurrence.objects.bulk_create(
        [
            Occurrence(message=occurrence.message, n=firing.n, due_at=firing.due_at)
            for firing in due
            if firing.n > occurrence.n
        ]
    )
    _skip([missed.pk for missed in created[:-1]], "missed")
    return created[-1]


def _skip(occurrence_pks: list[int], reason: str) -> None:
    Occurrence.objects.filter(pk__in=occurrence_pks).update(
        state=OccurrenceState.SKIPPED, skip_reason=reason, closed_at=Now()
    )


def ring_for_work() -> None:
    """Have as many drains as there are workers, while there is work that nobody has."""
    workers = heartbeat.live_workers() or settings.WORKERS
    waiting = batches.open_work(limit=workers)
    if not waiting:
        return
    busy = batches.live_owners() + queue.waiting_jobs(settings.QUEUE_NAME)
    for _ in range(min(waiting, workers - busy)):
        queue.ring_drain()


def sweep() -> None:
    """Mend what a crash left: occurrences whose last batch ended unseen, series that are over."""
    ended = Q(planned_at__isnull=False) | Q(state=OccurrenceState.CANCELLED)
    pending = Batch.objects.filter(occurrence=OuterRef("pk")).exclude(state=BatchState.DONE)
    unseen = Occurrence.objects.filter(ended, ~Exists(pending), closed_at=None)
    for pk in unseen.exclude(state=OccurrenceState.SCHEDULED).values_list("pk", flat=True):
        closing.close_if_finished(pk)
    _end_series()


def _end_series() -> None:
    """A repeated message whose last firing was skipped has nobody to end it: no firing is open, so none will come."""
    series = Message.objects.filter(status=MessageStatus.SCHEDULED).filter(Q(repeat_every__isnull=False) | ~Q(cron=""))
    for pk in series.exclude(occurrences__closed_at=None).values_list("pk", flat=True):
        closing.settle_message(pk)
