"""Resolve the audience of one occurrence into batches, page by page, while the first batches are already sent.

Every batch holds the ids of its devices: what is targeted is counted when it is written, so a device that
registers, leaves or changes meanwhile can neither be added, lost nor counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import connection, transaction

from devices import audience
from devices.audience import id_array
from devices.push_services import PushService
from messaging import closing, database
from messaging.models import Occurrence, OccurrenceState
from messaging.partitions import ensure_partition
from messaging.publishing import audience_of, request_of

#: devices of a batch: what a crash can leave to another worker, and one binary read of 1 ms
BATCH_SIZE = 1_000
#: devices read in one step; four push services then still fill their batches
PAGE_SIZE = 4 * BATCH_SIZE


def plan_next_page() -> bool:
    """Plan one page of an occurrence that nobody else is planning at this moment; whether there was one.

    One locked transaction, safe to be interrupted at any point: whoever comes next goes on from there.
    """
    if not _is_any_open():
        return False
    with transaction.atomic():
        occurrence = (
            Occurrence.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("message__application")
            .filter(state=OccurrenceState.PLANNING, closed_at=None)
            .order_by("planned_through", "id")
            .first()
        )
        if occurrence is None:
            return False
        _freeze(occurrence)
        is_last = _plan_page(occurrence)
    if is_last:
        closing.close_if_finished(occurrence.pk)
    return True


def _is_any_open() -> bool:
    """Asked twenty times a second by every drain: the query below costs ten times as much to build as to run."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM messaging_occurrence WHERE state = 'planning' AND closed_at IS NULL)"
        )
        (is_open,) = cursor.fetchone()
    return bool(is_open)


def plan_devices(occurrence: Occurrence, ids: Mapping[PushService, Sequence[int]]) -> None:
    """Write the batches of an occurrence whose devices are known, inside the caller's transaction."""
    ensure_partition(occurrence.due_at.date())
    _write_batches(occurrence.pk, ids)
    Occurrence.objects.filter(pk=occurrence.pk).update(planned_at=database.now(), claimed_at=database.now())


def _freeze(occurrence: Occurrence) -> None:
    """Bound the audience by the highest registration id of this moment, once."""
    if occurrence.audience_bound is None:
        ensure_partition(occurrence.due_at.date())
        occurrence.audience_bound = audience.highest_id()


def _plan_page(occurrence: Occurrence) -> bool:
    """Write the batches of the next page; whether it was the last."""
    assert occurrence.audience_bound is not None
    message = occurrence.message
    spec = audience_of(request_of(message), message.application, message.channel_id)
    page = audience.next_page(spec, above=occurrence.planned_through, bound=occurrence.audience_bound, limit=PAGE_SIZE)
    _write_batches(occurrence.pk, page.ids)
    occurrence.planned_through = page.through
    if page.is_last:
        occurrence.planned_at = database.now()
        occurrence.state = OccurrenceState.SENDING
    occurrence.save(update_fields=["audience_bound", "planned_through", "planned_at", "state"])
    return page.is_last


def _first_turn(occurrence_id: int) -> int:
    """Where the page's batches stand in the queue: behind the occurrence's own, level with everybody else's head.

    Start-time fair queueing: a small campaign does not wait for the end of a large one, nor the other way round.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT greatest((SELECT coalesce(min(turn), 0) FROM messaging_batch WHERE state <> 'done'), "
            "(SELECT coalesce(max(turn) + 1, 0) FROM messaging_batch WHERE occurrence_id = %s))",
            [occurrence_id],
        )
        (turn,) = cursor.fetchone()
    return int(turn)


def _write_batches(occurrence_id: int, ids: Mapping[PushService, Sequence[int]]) -> None:
    slices = [
        (service, ids[service][start : start + BATCH_SIZE])
        for service in ids
        for start in range(0, len(ids[service]), BATCH_SIZE)
    ]
    if not slices:
        return
    turn = _first_turn(occurrence_id)
    rows = [
        (occurrence_id, service.value, id_array(registration_ids), len(registration_ids), turn + position)
        for position, (service, registration_ids) in enumerate(slices)
    ]
    with connection.cursor() as cursor:
        # the ORM adapts every id of an array by itself: 2.7 us a device
        cursor.executemany(
            "INSERT INTO messaging_batch (occurrence_id, push_service, registration_ids, targeted, turn, state, tries, "
            "attempt, begun, owner, accepted, failed, skipped) "
            "VALUES (%s, %s, %s::bigint[], %s, %s, 'waiting', 0, 0, 0, '', 0, 0, 0)",
            rows,
        )
