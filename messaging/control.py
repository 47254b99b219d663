"""Steer what is being sent: pause, resume, stop, and send again to those that failed. Effective within two seconds.

Each is one conditional update of the occurrence; the drains look at it once a second and let go of its batches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Max, Q, QuerySet
from django.db.models.functions import Now

from devices.push_services import PushService
from messaging import closing, fanout, queue
from messaging.errors import CannotControl, NothingToRetry
from messaging.ledger import deliveries_of
from messaging.models import SKIPPED_OUTCOMES, DeliveryOutcome, Message, MessageStatus, Occurrence, OccurrenceState
from messaging.publishing import schedule_next, series_of

#: ended without being accepted, and another try may help; a dead token comes back only with a new registration
RETRYABLE = (frozenset(DeliveryOutcome) - SKIPPED_OUTCOMES - {DeliveryOutcome.ACCEPTED, DeliveryOutcome.GONE}) | {
    DeliveryOutcome.EXPIRED,
    DeliveryOutcome.CANCELLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureKind:
    """Devices to retry: those of one push service that ended with this outcome and reason."""

    push_service: PushService
    outcome: DeliveryOutcome
    reason: str


def pause(occurrence: Occurrence) -> None:
    """Let no further request leave; what is on the wire ends. Raises CannotControl when it is over or paused."""
    changed = _under_way(occurrence).filter(paused_at=None).update(paused_at=Now())
    if not changed:
        raise CannotControl("Only a campaign that is being sent can be paused.")


def resume(occurrence: Occurrence) -> None:
    """Go on where it was paused. Raises CannotControl when it is not paused."""
    with transaction.atomic():
        if not _under_way(occurrence).filter(paused_at__isnull=False).update(paused_at=None):
            raise CannotControl("Only a paused campaign can be resumed.")
        queue.ring_ticker()


def stop(occurrence: Occurrence) -> None:
    """End this firing: devices not yet reached end as cancelled. A series goes on with its next firing.

    Raises CannotControl when it is over.
    """
    with transaction.atomic():
        # locked as a ticker locks it: who stops a firing that waits has the next one to schedule, else the ticker has
        going_on = Occurrence.objects.filter(pk=occurrence.pk, closed_at=None).exclude(state=OccurrenceState.CANCELLED)
        stopped = going_on.select_for_update(of=("self",)).select_related("message").first()
        if stopped is None:
            raise CannotControl("Only a campaign that has not ended can be stopped.")
        if stopped.state == OccurrenceState.SCHEDULED:
            schedule_next(stopped, series_of(stopped.message))
        going_on.update(state=OccurrenceState.CANCELLED, paused_at=None)
        queue.ring_ticker()
    closing.close_if_finished(occurrence.pk)


def retry_failed(occurrence: Occurrence, kinds: Sequence[FailureKind] = ()) -> Occurrence:
    """Send the message again to exactly the devices that failed: all of them, or only those of the given kinds.

    A new occurrence of its own, so that both ledgers add up. Devices that another retry has in hand, or has reached,
    are left out: two people who press the button, or one who presses it twice, send once. Raises CannotControl while
    the first is under way, NothingToRetry.
    """
    wanted = Q(outcome__in=[outcome.value for outcome in RETRYABLE])
    if kinds:
        chosen = Q()
        for kind in kinds:
            chosen |= Q(push_service=kind.push_service, outcome=kind.outcome, reason=kind.reason)
        wanted &= chosen
    with transaction.atomic():
        firings = Occurrence.objects.filter(message=occurrence.message_id, n=occurrence.n)
        firings.select_for_update().get(retry_no=0)  # one retry of a firing at a time is put together
        first = firings.get(pk=occurrence.pk)
        if first.closed_at is None:
            raise CannotControl("Failed devices can be retried once the campaign has ended.")
        taken = _taken_by(firings.filter(retry_no__gt=first.retry_no))
        ids: dict[PushService, list[int]] = defaultdict(list)
        failed = deliveries_of(first).filter(wanted).order_by("registration_id")
        for pk, service in failed.values_list("registration_id", "push_service"):
            if pk not in taken:
                ids[PushService(service)].append(pk)
        if not ids:
            raise NothingToRetry()
        again = _new_retry(first)
        fanout.plan_devices(again, ids)
        Message.objects.filter(pk=first.message_id, status__in=[MessageStatus.PUBLISHED, MessageStatus.FAILED]).update(
            status=MessageStatus.SCHEDULED, error_message=""
        )
        queue.ring_ticker()
    return again


def _taken_by(retries: Iterable[Occurrence]) -> set[int]:
    """Registrations that these retries are still sending to, or that ended there as nobody would try again."""
    taken: set[int] = set()
    for retry in retries:
        ended = deliveries_of(retry)
        if retry.closed_at is None:
            for pks in retry.batches.values_list("registration_ids", flat=True):
                taken.update(pks)
        else:
            ended = ended.exclude(outcome__in=[outcome.value for outcome in RETRYABLE])
        taken.update(ended.values_list("registration_id", flat=True))
    return taken


def _new_retry(first: Occurrence) -> Occurrence:
    last = Occurrence.objects.filter(message=first.message_id, n=first.n).aggregate(last=Max("retry_no"))["last"]
    again = Occurrence.objects.create(
        message_id=first.message_id, n=first.n, retry_no=last + 1, due_at=Now(), state=OccurrenceState.SENDING
    )
    again.refresh_from_db()
    return again


def _under_way(occurrence: Occurrence) -> QuerySet[Occurrence]:
    return Occurrence.objects.filter(
        pk=occurrence.pk, closed_at=None, state__in=[OccurrenceState.PLANNING, OccurrenceState.SENDING]
    )
