"""The table of devices of one firing: outcomes joined to registrations, page by page, whatever the campaign's size."""

from __future__ import annotations

from dataclasses import dataclass

from console.pages_pending import pending_devices
from devices.models import Application, DeviceRegistration
from devices.push_services import PushService
from messaging.ledger import deliveries_of
from messaging.models import SKIPPED_OUTCOMES, Delivery, DeliveryOutcome, Occurrence

PAGE_LENGTH = 25
#: registrations whose id begins with what was typed; more are not worth looking through
_MOST_FOUND = 200
#: what was accepted has no reason
_WITH_REASON = [outcome for outcome in DeliveryOutcome if outcome is not DeliveryOutcome.ACCEPTED]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Which devices to show; empty means any."""

    search: str = ""
    outcome: DeliveryOutcome | None = None
    reason: str = ""
    push_service: PushService | None = None
    is_waiting: bool = False  #: devices without an outcome, instead of those that have one
    after: int = 0  #: registration id of the last row above
    batch: int = 0  #: and its batch, where that row is a waiting one


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One device and what became of it."""

    delivery: Delivery
    registration: DeviceRegistration | None  #: None when it was deleted since
    outcome: DeliveryOutcome | None  #: None: waiting

    @property
    def requests(self) -> int:
        """Requests made for the device: what was skipped was counted as a try, but nothing left in it."""
        return max(0, self.delivery.tries - (self.outcome in SKIPPED_OUTCOMES))


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """One page of the table."""

    rows: list[DeliveryRow]
    next_after: int | None
    next_batch: int = 0  #: goes with `next_after` among waiting devices


def delivery_page(
    application: Application, occurrence: Occurrence, wanted: DeliveryFilter, limit: int = PAGE_LENGTH
) -> DeliveryPage:
    """Two queries, three with a search."""
    if wanted.is_waiting:
        return _waiting_page(application, occurrence, wanted, limit)
    query = deliveries_of(occurrence).filter(registration_id__gt=wanted.after)
    if wanted.search:
        query = query.filter(registration_id__in=_found(application, wanted.search))
    if wanted.outcome is not None:
        query = query.filter(outcome=wanted.outcome)
    if wanted.reason:
        query = query.filter(reason=wanted.reason)
        if wanted.outcome is None:  # as the index of failures begins; without, a rare reason is looked for in all rows
            query = query.filter(outcome__in=_WITH_REASON)
    if wanted.push_service is not None:
        query = query.filter(push_service=wanted.push_service)
    deliveries = list(query.order_by("registration_id")[: limit + 1])
    shown = deliveries[:limit]
    rows = _rows(application, shown)
    return DeliveryPage(rows, shown[-1].registration_id if len(deliveries) > limit else None)


def _waiting_page(application: Application, occurrence: Occurrence, wanted: DeliveryFilter, limit: int) -> DeliveryPage:
    pending = pending_devices(
        occurrence,
        found=_found(application, wanted.search) if wanted.search else None,
        push_service=wanted.push_service or "",
        place=(wanted.batch, wanted.after),
        limit=limit + 1,
    )
    rows = _rows(application, [delivery for _, delivery in pending[:limit]])
    if len(pending) <= limit:
        return DeliveryPage(rows, None)
    batch, last = pending[limit - 1]
    return DeliveryPage(rows, last.registration_id, batch)


def _rows(application: Application, deliveries: list[Delivery]) -> list[DeliveryRow]:
    found = application.registrations.in_bulk([delivery.registration_id for delivery in deliveries])
    return [
        DeliveryRow(
            delivery,
            found.get(delivery.registration_id),
            DeliveryOutcome(delivery.outcome) if delivery.outcome else None,
        )
        for delivery in deliveries
    ]


def _found(application: Application, search: str) -> list[int]:
    """Registrations whose device id begins so: the unique index of device ids answers it."""
    found = application.registrations.filter(device_id__startswith=search).order_by("device_id")
    return list(found.values_list("pk", flat=True)[:_MOST_FOUND])
