"""The overview: what is being sent, what comes next, how the last day went, whether everything is able to send."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet, Sum
from django.db.models.functions import TruncHour

from console.pages import WorkersView, workers_view
from console.pages_devices import ProviderView, provider_views
from console.pages_messages import MessageRow, rows_of
from devices.models import Application, RegistrationState
from messaging import database
from messaging.ledger import Ledger, ledgers_of
from messaging.models import Message, MessageStatus, Occurrence, OccurrenceState

_SHOWN = 5
_HOURS = 24


@dataclass(frozen=True, slots=True)
class HourBar:
    """One hour of the chart, as heights of 0 to 100 from the bottom."""

    hour: datetime
    ledger: Ledger
    x: int
    accepted: int
    failed: int
    skipped: int

    @property
    def accepted_y(self) -> int:
        """Top of the accepted part."""
        return 100 - self.accepted

    @property
    def failed_y(self) -> int:
        """Top of the failed part, which stands on the accepted one."""
        return self.accepted_y - self.failed

    @property
    def skipped_y(self) -> int:
        """Top of the skipped part."""
        return self.failed_y - self.skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """The overview of one application."""

    sending: list[MessageRow]
    upcoming: list[MessageRow]
    recent: list[MessageRow]
    day: Ledger
    bars: list[HourBar]
    providers: list[ProviderView]
    workers: WorkersView
    has_devices: bool
    now: datetime


def dashboard(application: Application) -> Dashboard:
    """Everything on the page, in a constant number of queries."""
    now = database.now()
    hours = _hours(application, now)
    return Dashboard(
        sending=_sending(application),
        upcoming=_upcoming(application),
        recent=rows_of(list(_messages(application).order_by("-pk")[:_SHOWN])),
        day=_sum(hours.values()),
        bars=_bars(hours, now),
        providers=provider_views(application),
        workers=workers_view(application),
        has_devices=application.registrations.filter(state=RegistrationState.ACTIVE).exists(),
        now=now,
    )


def _messages(application: Application) -> QuerySet[Message]:
    return application.messages.select_related("author", "api_key")


def _sending(application: Application) -> list[MessageRow]:
    started = Occurrence.objects.filter(closed_at=None).exclude(state=OccurrenceState.SCHEDULED)
    return rows_of(list(_messages(application).filter(pk__in=started.values("message")).order_by("-pk")[:_SHOWN]))


def _upcoming(application: Application) -> list[MessageRow]:
    due = Occurrence.objects.filter(
        state=OccurrenceState.SCHEDULED, message__application=application, message__status=MessageStatus.SCHEDULED
    )
    ids = list(due.order_by("due_at").values_list("message_id", flat=True)[:_SHOWN])
    rows = rows_of(list(_messages(application).filter(pk__in=ids)))
    return sorted(rows, key=lambda row: row.at)


def _hours(application: Application, now: datetime) -> dict[datetime, Ledger]:
    """Counts by the hour a message was due: closed firings have their own, open ones are few."""
    recent = Occurrence.objects.filter(message__application=application, due_at__gt=now - timedelta(hours=_HOURS))
    closed = recent.filter(closed_at__isnull=False).annotate(hour=TruncHour("due_at")).order_by().values("hour")
    sums = closed.annotate(
        targeted=Sum("targeted"), accepted=Sum("accepted"), failed=Sum("failed"), skipped=Sum("skipped")
    )
    hours = {
        hour: Ledger(targeted=targeted, accepted=accepted, failed=failed, skipped=skipped)
        for hour, targeted, accepted, failed, skipped in sums.values_list(
            "hour", "targeted", "accepted", "failed", "skipped"
        )
    }
    still_open = {entry.pk: entry for entry in recent.filter(closed_at=None, claimed_at__isnull=False)}
    for pk, ledger in ledgers_of(still_open.values()).items():
        hour = still_open[pk].due_at.replace(minute=0, second=0, microsecond=0)
        hours[hour] = _sum([hours.get(hour, Ledger()), ledger])
    return hours


def _sum(ledgers: Iterable[Ledger]) -> Ledger:
    total = Ledger()
    for ledger in ledgers:
        total = Ledger(
            targeted=total.targeted + ledger.targeted,
            accepted=total.accepted + ledger.accepted,
            failed=total.failed + ledger.failed,
            skipped=total.skipped + ledger.skipped,
        )
    return total


def _bars(hours: dict[datetime, Ledger], now: datetime) -> list[HourBar]:
    """A bar for each of the 24 hours; the busiest one has the full height."""
    highest = max((ledger.targeted for ledger in hours.values()), default=0) or 1
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    bars = []
    for index in range(_HOURS):
        hour = this_hour - timedelta(hours=_HOURS - 1 - index)
        ledger = hours.get(hour, Ledger())
        bars.append(
            HourBar(
                hour,
                ledger,
                index * 10,
                _height(ledger.accepted, highest),
                _height(ledger.failed, highest),
                _height(ledger.skipped, highest),
            )
        )
    return bars


def _height(part: int, highest: int) -> int:
    """Of 100; a single failure is still seen."""
    return max(2, part * 96 // highest) if part else 0
