"""Resolve the audience of one occurrence into batches, page by page, while the first batches are already sent.

Every batch holds the ids of its devices: what is targeted is counted when it is written, so a device that
registers, leaves or changes meanwhile can neither be added, lost nor counted twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection, transaction

from devices import audience
from devices.audience import AudiencePage, id_array
from devices.push_services import PushService
from messaging import closing, database
from messaging.models import Occurrence, OccurrenceState
from messaging.partitions import ensure_partition
from messaging.publishing import audience_of, request_of

#: devices of a batch: what a crash can leave to another worker, and one binary read of 1 ms
BATCH_SIZE = 1_000
#: devices read in one step; four push services then still fill their batches
PAGE_SIZE = 4 * BATCH_SIZE
#: occurrences of one step: the transaction and its commit cost as much as reading the audience of five small ones
_MOST_AT_ONCE = 20
#: a step ends with the page in which this is over, however many occurrences wait: what is on the wire must not
_STEP_S = 0.05

_ADVANCE = """
UPDATE messaging_occurrence o
SET audience_bound = p.bound, planned_through = p.through,
    planned_at = CASE WHEN p.is_last THEN now() END,
    state = CASE WHEN p.is_last THEN 'sending' ELSE o.state END
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bool[]) AS p (id, bound, through, is_last)
WHERE o.id = p.id
"""


@dataclass(frozen=True, slots=True)
class _Plan:
    """A page of a locked occurrence, not yet written."""

    occurrence: Occurrence
    page: AudiencePage


def plan_next_page() -> bool:
    """Plan a page of each of some occurrences that nobody else is planning at this moment; whether there were any.

    One locked transaction, safe to be interrupted at any point: whoever comes next goes on from there.
    """
    if not _is_any_open():
        return False
    with transaction.atomic():
        database.hold_locks_briefly()
        plans = _read_pages(_lock_open())
        _write_pages(plans)
    for plan in plans:
        if plan.page.is_last and not plan.page.ids:  # else whoever ends the last batch closes it
            closing.close_if_finished(plan.occurrence.pk)
    return bool(plans)


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
    _write_batches({occurrence.pk: ids})
    Occurrence.objects.filter(pk=occurrence.pk).update(planned_at=database.now(), claimed_at=database.now())


def _lock_open() -> list[Occurrence]:
    """Those that have been planned least, frozen: the highest registration id of this moment bounds their audience."""
    occurrences = list(
        Occurrence.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("message__application")
        .filter(state=OccurrenceState.PLANNING, closed_at=None)
        .order_by("planned_through", "id")[:_MOST_AT_ONCE]
    )
    new = [occurrence for occurrence in occurrences if occurrence.audience_bound is None]
    if new:
        bound = audience.highest_id()
        for day in sorted({occurrence.due_at.date() for occurrence in new}):
            ensure_partition(day)
        for occurrence in new:
            occurrence.audience_bound = bound
    return occurrences


def _read_pages(occurrences: Sequence[Occurrence]) -> list[_Plan]:
    """A page of each, or of as many as there is time for."""
    stop_at = time.monotonic() + _STEP_S
    plans: list[_Plan] = []
    for occurrence in occurrences:
        plans.append(_Plan(occurrence, _read_page(occurrence)))
        if time.monotonic() >= stop_at:
            break
    return plans


def _read_page(occurrence: Occurrence) -> AudiencePage:
    assert occurrence.audience_bound is not None
    message = occurrence.message
    spec = audience_of(request_of(message), message.application, message.channel_id)
    return audience.next_page(spec, above=occurrence.planned_through, bound=occurrence.audience_bound, limit=PAGE_SIZE)


def _write_pages(plans: Sequence[_Plan]) -> None:
    """The batches, and how far the occurrences are planned."""
    _write_batches({plan.occurrence.pk: plan.page.ids for plan in plans})
    with connection.cursor() as cursor:
        cursor.execute(
            _ADVANCE,
            [
                [plan.occurrence.pk for plan in plans],
                [plan.occurrence.audience_bound for plan in plans],
                [plan.page.through for plan in plans],
                [plan.page.is_last for plan in plans],
            ],
        )


def _first_turns(occurrence_ids: Sequence[int]) -> dict[int, int]:
    """Where the pages' batches stand in the queue: behind the occurrence's own, level with everybody else's head.

    Start-time fair queueing: a small campaign does not wait for the end of a large one, nor the other way round.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.id, greatest((SELECT coalesce(min(turn), 0) FROM messaging_batch WHERE state <> 'done'), "
            "(SELECT coalesce(max(turn) + 1, 0) FROM messaging_batch WHERE occurrence_id = p.id)) "
            "FROM unnest(%s::bigint[]) AS p (id)",
            [list(occurrence_ids)],
        )
        return dict(cursor.fetchall())


def _write_batches(ids: Mapping[int, Mapping[PushService, Sequence[int]]]) -> None:
    """Of occurrences, by their id, the registrations to send to."""
    planned = [pk for pk in ids if ids[pk]]
    if not planned:
        return
    turns = _first_turns(planned)
    rows = [
        (pk, service.value, id_array(registration_ids), len(registration_ids), turn + position)
        for pk, turn in turns.items()
        for position, (service, registration_ids) in enumerate(_slices(ids[pk]))
    ]
    with connection.cursor() as cursor:
        # the ORM adapts every id of an array by itself: 2.7 us a device
        cursor.executemany(
            "INSERT INTO messaging_batch (occurrence_id, push_service, registration_ids, targeted, turn, state, tries, "
            "attempt, begun, owner, accepted, failed, skipped) "
            "VALUES (%s, %s, %s::bigint[], %s, %s, 'waiting', 0, 0, 0, '', 0, 0, 0)",
            rows,
        )


def _slices(ids: Mapping[PushService, Sequence[int]]) -> Iterator[tuple[PushService, Sequence[int]]]:
    """The registrations of a page, a batch at a time."""
    for service in ids:
        for start in range(0, len(ids[service]), BATCH_SIZE):
            yield service, ids[service][start : start + BATCH_SIZE]
