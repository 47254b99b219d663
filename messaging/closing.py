"""End an occurrence when nothing of it is pending, and its message with it."""

from __future__ import annotations

from django.db import connection, transaction

from messaging import latencies
from messaging.ledger import failure_groups
from messaging.models import Message, MessageStatus, Occurrence, OccurrenceState

# A batch that finishes at the same moment in another transaction is not seen here: then its own worker closes.
_CLOSE = """
UPDATE messaging_occurrence o
SET state = CASE WHEN o.state = 'cancelled' THEN o.state ELSE 'done' END,
    planned_at = coalesce(o.planned_at, now()), closed_at = now(), last_outcome_at = now(),
    targeted = s.targeted, accepted = s.accepted, failed = s.failed, skipped = s.skipped
FROM (
    SELECT coalesce(sum(targeted), 0) AS targeted, coalesce(sum(accepted), 0) AS accepted,
           coalesce(sum(failed), 0) AS failed, coalesce(sum(skipped), 0) AS skipped,
           count(*) FILTER (WHERE state <> 'done') AS open
    FROM messaging_batch WHERE occurrence_id = %(id)s
) s
WHERE o.id = %(id)s AND o.closed_at IS NULL AND s.open = 0
  AND (o.planned_at IS NOT NULL OR o.state = 'cancelled') AND o.state <> 'scheduled'
RETURNING o.message_id, o.due_at, o.first_request_at, o.last_outcome_at
"""


def close_if_finished(occurrence_id: int) -> bool:
    """Close the occurrence if every batch is done; whether it was closed now."""
    with transaction.atomic():
        # The lock keeps a fan-out page from adding a batch between the sum and the update
        if not Occurrence.objects.select_for_update().filter(pk=occurrence_id, closed_at=None).exists():
            return False
        with connection.cursor() as cursor:
            cursor.execute(_CLOSE, {"id": occurrence_id})
            row = cursor.fetchone()
        if row is None:
            return False
        message_pk, due_at, first_request_at, last_outcome_at = row
        settle_message(message_pk)
        if first_request_at is not None:
            latencies.count_firing(due_at, first_request_at, last_outcome_at)
    return True


@transaction.atomic
def settle_message(message_pk: int) -> None:
    """PUBLISHED once no firing is left; when none reached anybody CANCELLED, if the last one sent was, or FAILED."""
    # Of firings that end at the same moment one must see that it is the last
    list(Message.objects.select_for_update(no_key=True).filter(pk=message_pk).values_list("pk"))
    if Occurrence.objects.filter(message=message_pk, closed_at=None).exists():
        return
    firings = Occurrence.objects.filter(message=message_pk)
    waiting = Message.objects.filter(pk=message_pk, status=MessageStatus.SCHEDULED)
    last = firings.exclude(state=OccurrenceState.SKIPPED).order_by("closed_at", "pk").last()
    failed = firings.filter(failed__gt=0).order_by("closed_at").last()
    if firings.filter(accepted__gt=0).exists():
        waiting.update(status=MessageStatus.PUBLISHED)
    elif last is not None and last.state == OccurrenceState.CANCELLED:
        waiting.update(status=MessageStatus.CANCELLED)
    elif failed is not None:
        waiting.update(status=MessageStatus.FAILED, error_message=_main_reason(failed))
    else:
        waiting.update(status=MessageStatus.PUBLISHED)


def _main_reason(occurrence: Occurrence) -> str:
    groups = failure_groups(occurrence)
    if not groups:
        return "No device could be reached."
    group = groups[0]
    return f"{group.push_service.label} refused {group.devices} devices: {group.reason or group.outcome.label}."
