"""Devices of a firing that have no outcome yet: who is in an open batch and in no delivery."""

from __future__ import annotations

from typing import Any

from django.db import connection

from messaging.ledger import fired_on
from messaging.models import Delivery, Occurrence

#: Open batches a page is gathered from: each has a device at least, but for the few that are being written. Whoever
#: was searched for may be in as many batches as there are findings (`pages_deliveries`).
_BATCHES, _BATCHES_WITH_SEARCH = 60, 200

#: Batch by batch, in the order of ids, so that a page reads some arrays and not a million ids. The scalar subquery is
#: asked for as few devices as are shown; NOT EXISTS would be a join with all of them.
_PENDING = """
    WITH open AS MATERIALIZED (
        SELECT b.id FROM messaging_batch b
        WHERE b.occurrence_id = %(occurrence)s AND b.state <> 'done' AND b.id >= %(batch)s
        AND (%(service)s = '' OR b.push_service = %(service)s)
        AND (%(found)s::bigint[] IS NULL
            OR EXISTS (SELECT FROM unnest(b.registration_ids) AS ids(id) WHERE ids.id = ANY(%(found)s::bigint[])))
        ORDER BY b.id LIMIT %(batches)s
    )
    SELECT b.id, b.push_service, b.tries, device.id
    FROM open JOIN messaging_batch b ON b.id = open.id, LATERAL (
        SELECT u.id FROM (
            SELECT id FROM unnest(b.registration_ids) AS ids(id)
            WHERE (b.id > %(batch)s OR id > %(after)s)
            AND (%(found)s::bigint[] IS NULL OR id = ANY(%(found)s::bigint[]))
            ORDER BY id OFFSET 0
        ) AS u
        WHERE (
            SELECT true FROM messaging_delivery d
            WHERE d.fired_on = %(fired_on)s AND d.occurrence_id = %(occurrence)s AND d.registration_id = u.id
        ) IS NULL
        LIMIT %(limit)s
    ) AS device
    ORDER BY b.id, device.id LIMIT %(limit)s
"""


def pending_devices(
    occurrence: Occurrence, *, found: list[int] | None, push_service: str, place: tuple[int, int], limit: int
) -> list[tuple[int, Delivery]]:
    """Devices behind `place` (batch, registration id), each with its batch, as deliveries that are not stored.

    `found`: only these registrations; None any. `push_service`: "" any. One query.
    """
    asked: dict[str, Any] = {
        "occurrence": occurrence.pk,
        "fired_on": fired_on(occurrence),
        "found": found,
        "service": push_service,
        "batch": place[0],
        "after": place[1],
        "limit": limit,
        "batches": _BATCHES if found is None else _BATCHES_WITH_SEARCH,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PENDING, asked)
        rows = cursor.fetchall()
    return [(batch, _waiting(occurrence, service, tries, device)) for batch, service, tries, device in rows]


def _waiting(occurrence: Occurrence, service: str, tries: int, registration_id: int) -> Delivery:
    return Delivery(
        fired_on=fired_on(occurrence),
        occurrence_id=occurrence.pk,
        registration_id=registration_id,
        push_service=service,
        tries=tries,
        reason="",
        detail="",
        provider_id="",
        http_status=0,
    )
