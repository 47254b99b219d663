"""Take, read, keep and give back batches. A batch belongs to whoever holds its lease and its attempt number."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum

from django.db import connection

from devices.audience import id_array
from devices.push_services import PushService
from messaging import heartbeat, pacing
from messaging.models import InDoubtPolicy, OccurrenceState
from messaging.providers.base import Target

#: a batch whose owner shows no sign of life for this long is taken by another (reliability.md P13)
LEASE_S = 30.0


class Steering(Enum):
    """What somebody told a campaign to do while it was being sent."""

    CANCELLED = "cancelled"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedBatch:
    """A batch this process may send. `attempt` must be named in every write."""

    pk: int
    occurrence_id: int
    application_pk: int
    push_service: PushService
    registration_ids: list[int]
    attempt: int
    tries: int
    fired_on: date
    turn: int
    is_cancelled: bool
    life_s: float | None  #: seconds the message may still be sent; None: no limit of its own
    may_resend: bool  #: a request without answer is sent again, else its device ends as unknown
    begun: int  #: an interrupted attempt may have sent to registration ids up to here
    limits: tuple[pacing.Limit, ...] = ()  #: how fast its requests may leave; most have no limit


# A lane that is throttled or paused keeps its batches waiting without slowing the others. What is cancelled or expired
# waits for nothing: no request of it leaves, and its devices are to have their outcome.
# A lease runs out before witnesses only: after the database was away its owner may be about to write what it holds.
_OPEN = f"""
    FROM messaging_batch b
    JOIN messaging_occurrence o ON o.id = b.occurrence_id
    JOIN messaging_message m ON m.id = o.message_id
    WHERE b.state <> 'done' AND (b.state = 'waiting' OR (b.lease_until < now() AND {heartbeat.IS_WITNESSED}))
      AND (o.state = 'cancelled' OR o.due_at + m.ttl <= now()
           OR (b.due_at <= now() AND o.paused_at IS NULL AND NOT EXISTS (
          SELECT 1 FROM messaging_lane l
          WHERE l.application_id = m.application_id AND l.push_service = b.push_service AND l.origin = ''
            AND (l.state = 'paused' OR (l.state = 'throttled' AND l.throttled_until > now())))))
"""  # noqa: S608

_CLAIM = f"""
WITH taken AS (
    SELECT b.id, o.state AS occurrence_state, o.due_at, m.application_id, m.in_doubt, m.id AS message_id,
           m.requests_per_second, extract(epoch FROM o.due_at + m.ttl - now())::float AS life_s
    {_OPEN}
      AND (m.application_id, b.push_service::text) NOT IN (SELECT * FROM unnest(%s::bigint[], %s::text[]))
      AND o.id <> ALL(%s) AND b.id <> ALL(%s)
    ORDER BY b.turn, b.id LIMIT 1 FOR UPDATE OF b SKIP LOCKED
), started AS (
    UPDATE messaging_occurrence o SET first_request_at = now()
    FROM messaging_batch b, taken WHERE b.id = taken.id AND o.id = b.occurrence_id AND o.first_request_at IS NULL
)
UPDATE messaging_batch b
SET state = 'sending', attempt = b.attempt + 1, owner = %s, lease_until = now() + make_interval(secs => %s)
FROM taken WHERE b.id = taken.id
RETURNING b.id, b.occurrence_id, taken.application_id, b.push_service, b.registration_ids, b.attempt, b.tries, b.turn,
          (taken.due_at AT TIME ZONE 'UTC')::date, taken.occurrence_state, taken.life_s, taken.in_doubt, b.begun,
          taken.message_id, taken.requests_per_second,
          (SELECT l.requests_per_second FROM messaging_lane l
           WHERE l.application_id = taken.application_id AND l.push_service = b.push_service AND l.origin = ''),
          (SELECT a.is_simulated FROM devices_application a WHERE a.id = taken.application_id)
"""  # noqa: S608


def claim(
    owner: str,
    *,
    passing_over: Collection[tuple[int, PushService]] = (),
    slow: Collection[int] = (),
    in_hand: Collection[int] = (),
) -> ClaimedBatch | None:
    """The batch whose turn it is, now leased to `owner`; None when there is none to send.

    `passing_over`: application and push service of the lanes its owner could not send through now; `slow`: occurrences
    of which it has more than their message's own limit lets out; `in_hand`: batches it holds, though it may have stood
    still for longer than their leases.
    """
    applications, services = [pk for pk, _ in passing_over], [service.value for _, service in passing_over]
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [applications, services, list(slow), list(in_hand), owner, LEASE_S])
        row = cursor.fetchone()
    if row is None:
        return None
    return ClaimedBatch(
        pk=row[0],
        occurrence_id=row[1],
        application_pk=row[2],
        push_service=PushService(row[3]),
        registration_ids=row[4],
        attempt=row[5],
        tries=row[6],
        turn=row[7],
        fired_on=row[8],
        is_cancelled=row[9] == OccurrenceState.CANCELLED,
        life_s=row[10],
        may_resend=row[11] == InDoubtPolicy.RESEND,
        begun=row[12],
        limits=pacing.limits_of(
            pacing.MessagePace(row[13], row[14]), pacing.LanePace(row[2], PushService(row[3]), row[15], row[16])
        ),
    )


def without_outcome(batch: ClaimedBatch) -> list[int]:
    """The batch's devices that have no outcome yet: all of them, unless an earlier attempt was interrupted."""
    if batch.attempt == 1:
        return batch.registration_ids
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT registration_id FROM messaging_delivery "
            "WHERE fired_on = %s AND occurrence_id = %s AND registration_id = ANY(%s::bigint[])",
            [batch.fired_on, batch.occurrence_id, id_array(batch.registration_ids)],
        )
        recorded = {row[0] for row in cursor.fetchall()}
    return [registration_id for registration_id in batch.registration_ids if registration_id not in recorded]


def targets(batch: ClaimedBatch, registration_ids: Sequence[int]) -> list[Target]:
    """Those of the devices that can still be sent to through the batch's push service."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, token FROM devices_deviceregistration WHERE id = ANY(%s::bigint[]) AND state = 'active' "
            "AND push_service = %s AND (expiration IS NULL OR expiration > now()) ORDER BY id",
            [id_array(registration_ids), batch.push_service.value],
        )
        return [Target(registration_id, token) for registration_id, token in cursor.fetchall()]


def note_begun(batch: ClaimedBatch, registration_id: int) -> bool:
    """Record, before they leave, that requests go out to devices up to this id: who takes over must not repeat them.

    False: the batch has been taken over, and none of them may leave.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_batch SET begun = greatest(begun, %s) WHERE id = %s AND attempt = %s "
            "AND state = 'sending'",
            [registration_id, batch.pk, batch.attempt],
        )
        return bool(cursor.rowcount)


def release(batch: ClaimedBatch) -> None:
    """Give a batch back unfinished; its devices without outcome are sent by whoever takes it next."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_batch SET state = 'waiting', lease_until = NULL, begun = 0 "
            "WHERE id = %s AND attempt = %s AND state = 'sending'",
            [batch.pk, batch.attempt],
        )


def extend_leases(owner: str) -> set[int]:
    """Sign of life for every batch the owner holds; which these are. What is missing has been taken over."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_batch SET lease_until = now() + make_interval(secs => %s) "
            "WHERE owner = %s AND state = 'sending' RETURNING id",
            [LEASE_S, owner],
        )
        return {pk for (pk,) in cursor.fetchall()}


def steered_among(occurrence_ids: Sequence[int]) -> dict[int, Steering]:
    """Those of the occurrences that somebody cancelled or paused."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, state = 'cancelled' FROM messaging_occurrence "
            "WHERE id = ANY(%s) AND (state = 'cancelled' OR paused_at IS NOT NULL)",
            [list(occurrence_ids)],
        )
        return {pk: Steering.CANCELLED if cancelled else Steering.PAUSED for pk, cancelled in cursor.fetchall()}


def open_work(limit: int) -> int:
    """How many batches a drain could claim and occurrences it could plan now, counted up to `limit`."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (SELECT 1 {_OPEN} UNION ALL "  # noqa: S608
            "SELECT 1 FROM messaging_occurrence WHERE state = 'planning' AND closed_at IS NULL LIMIT %s) found",
            [limit],
        )
        (found,) = cursor.fetchone()
    return int(found)


def live_owners() -> int:
    """Drains that hold a live lease."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT owner) FROM messaging_batch WHERE state = 'sending' AND lease_until > now()"
        )
        (owners,) = cursor.fetchone()
    return int(owners)
