"""Resolve the audience of one occurrence into batches, page by page, while the first batches are already sent.

Every batch holds the ids of its devices: what is targeted is counted when it is written, so a device that
registers, leaves or changes meanwhile can neither be added, lost nor counted twice.
"""

from __future__ import annotations

from collections import defaultdict

from django.db import transaction
from django.db.models.functions import Now

from devices import audience
from devices.audience import AudienceSpec
from devices.push_services import PushService
from messaging import closing, queue
from messaging.models import Batch, Message, Occurrence, OccurrenceState
from messaging.partitions import ensure_partition
from messaging.publishing import audience_of, request_of

#: devices of a batch: what a crash can leave to another worker, and one binary read of 1 ms
BATCH_SIZE = 1_000
#: devices read in one step; four push services then still fill their batches
PAGE_SIZE = 4 * BATCH_SIZE


def fan_out(occurrence_id: int) -> None:
    """Plan the occurrence to its end. Safe to run twice or to resume: each page is one locked transaction."""
    spec = _freeze(occurrence_id)
    if spec is None:
        return
    while _plan_page(occurrence_id, spec):
        queue.ring_ticker()
    queue.ring_ticker()
    closing.close_if_finished(occurrence_id)


def _freeze(occurrence_id: int) -> AudienceSpec | None:
    """The audience, bounded by the highest registration id of this moment; None when it is planned already."""
    with transaction.atomic():
        occurrence = Occurrence.objects.select_for_update().filter(pk=occurrence_id).first()
        if occurrence is None or occurrence.state != OccurrenceState.PLANNING:
            return None
        if occurrence.audience_bound is None:
            ensure_partition(occurrence.due_at.date())
            Occurrence.objects.filter(pk=occurrence_id).update(audience_bound=audience.highest_id())
    message = Message.objects.select_related("application").get(occurrences=occurrence_id)
    return audience_of(request_of(message), message.application, message.channel_id)


def _plan_page(occurrence_id: int, spec: AudienceSpec) -> bool:
    """Write the batches of the next page; whether there may be more."""
    with transaction.atomic():
        occurrence = Occurrence.objects.select_for_update().get(pk=occurrence_id)
        if occurrence.state != OccurrenceState.PLANNING or occurrence.audience_bound is None:
            return False
        # Named devices are read in one go: a page would search the whole list again
        limit = PAGE_SIZE if spec.device_ids is None else max(PAGE_SIZE, len(spec.device_ids))
        page = (
            []
            if spec.reaches_nobody
            else audience.next_ids(
                spec, above=occurrence.planned_through, bound=occurrence.audience_bound, limit=limit
            )
        )
        Batch.objects.bulk_create(_batches(occurrence_id, page))
        is_last = len(page) < limit
        progress: dict[str, object] = {"planning_seen_at": Now()}
        if page:
            progress["planned_through"] = page[-1][0]
        if is_last:
            progress |= {"planned_at": Now(), "state": OccurrenceState.SENDING}
        Occurrence.objects.filter(pk=occurrence_id).update(**progress)
    return not is_last


def _batches(occurrence_id: int, page: list[tuple[int, PushService]]) -> list[Batch]:
    ids: dict[PushService, list[int]] = defaultdict(list)
    for registration_id, service in page:
        ids[service].append(registration_id)
    return [
        Batch(
            occurrence_id=occurrence_id,
            push_service=service,
            registration_ids=ids[service][start : start + BATCH_SIZE],
            targeted=len(ids[service][start : start + BATCH_SIZE]),
        )
        for service in ids
        for start in range(0, len(ids[service]), BATCH_SIZE)
    ]
