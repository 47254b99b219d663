"""What became of an occurrence, in numbers that always add up: targeted = accepted + failed + skipped + pending."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Count, Max, QuerySet, Sum

from devices.push_services import PushService
from messaging.models import Batch, Delivery, DeliveryOutcome, Occurrence


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Devices of one occurrence (or one push service of it)."""

    targeted: int = 0
    accepted: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def pending(self) -> int:
        """Devices whose outcome is still open."""
        return self.targeted - self.accepted - self.failed - self.skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Devices that ended alike, other than accepted."""

    push_service: PushService
    outcome: DeliveryOutcome
    reason: str
    http_status: int
    devices: int
    example_detail: str


_SUMS = {
    "targeted": Sum("targeted"),
    "accepted": Sum("accepted"),
    "failed": Sum("failed"),
    "skipped": Sum("skipped"),
}


def ledger_of(occurrence: Occurrence) -> Ledger:
    """The counts of one occurrence: its own once closed, else the sums over its batches (one query)."""
    return ledgers_of([occurrence])[occurrence.pk]


def ledgers_of(occurrences: Iterable[Occurrence]) -> dict[int, Ledger]:
    """Counts by occurrence id, with one query for all that are still open."""
    ledgers: dict[int, Ledger] = {}
    still_open: list[int] = []
    for occurrence in occurrences:
        if occurrence.closed_at is None:
            ledgers[occurrence.pk] = Ledger()
            still_open.append(occurrence.pk)
        else:
            ledgers[occurrence.pk] = Ledger(
                targeted=occurrence.targeted,
                accepted=occurrence.accepted,
                failed=occurrence.failed,
                skipped=occurrence.skipped,
            )
    if still_open:
        sums = Batch.objects.filter(occurrence__in=still_open).order_by().values("occurrence_id").annotate(**_SUMS)
        for row in sums:
            ledgers[row["occurrence_id"]] = _ledger(row)
    return ledgers


def ledger_by_service(occurrence: Occurrence) -> dict[PushService, Ledger]:
    """Counts by push service, from the batches."""
    sums = Batch.objects.filter(occurrence=occurrence).order_by("push_service").values("push_service").annotate(**_SUMS)
    return {PushService(row["push_service"]): _ledger(row) for row in sums}


def _ledger(sums: Mapping[str, Any]) -> Ledger:
    return Ledger(targeted=sums["targeted"], accepted=sums["accepted"], failed=sums["failed"], skipped=sums["skipped"])


def deliveries_of(occurrence: Occurrence) -> QuerySet[Delivery]:
    """The outcomes written so far. `fired_on` keeps the query on one partition."""
    return Delivery.objects.filter(fired_on=fired_on(occurrence), occurrence_id=occurrence.pk)


def fired_on(occurrence: Occurrence) -> date:
    """The day that decides the partition of an occurrence's deliveries: the UTC day it was due."""
    return occurrence.due_at.date()


def failure_groups(occurrence: Occurrence) -> list[FailureGroup]:
    """Everything that did not end accepted, by push service and reason, largest group first."""
    rows = (
        deliveries_of(occurrence)
        .exclude(outcome=DeliveryOutcome.ACCEPTED)
        .order_by()
        .values("push_service", "outcome", "reason", "http_status")
        .annotate(devices=Count("registration_id"), example_detail=Max("detail"))
        .order_by("-devices", "reason")
    )
    return [
        FailureGroup(
            push_service=PushService(row["push_service"]),
            outcome=DeliveryOutcome(row["outcome"]),
            reason=row["reason"],
            http_status=row["http_status"],
            devices=row["devices"],
            example_detail=row["example_detail"],
        )
        for row in rows
    ]
