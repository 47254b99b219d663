"""Write what became of devices: the only writer of outcomes, batch counts and dead tokens."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db import connection, transaction

from devices.registration import GoneToken, disable_gone
from messaging.batches import LEASE_S, ClaimedBatch
from messaging.models import SKIPPED_OUTCOMES, DeliveryOutcome
from messaging.verdicts import Result

#: devices that are due again within the same 5 s, or within 6 to 13 % of a long wait, share a batch
_SHARE_WAIT_S = 5


@dataclass(frozen=True, slots=True)
class Postponed:
    """A device to be tried again."""

    registration_id: int
    delay_s: float
    tries: int  #: requests it has had


@dataclass(slots=True, kw_only=True)
class Progress:
    """What one batch has to say since it was last written."""

    batch: ClaimedBatch
    results: list[Result] = field(default_factory=list)
    postponed: list[Postponed] = field(default_factory=list)
    gone: list[GoneToken] = field(default_factory=list)
    is_finished: bool = False


_COPY = (
    "COPY messaging_delivery (fired_on, occurrence_id, registration_id, push_service, outcome, reason, http_status, "
    "provider_id, detail, tries, finished_at) FROM STDIN"
)

# The attempt fences: whoever lost the batch to another worker changes nothing and throws its results away.
_ADVANCE = """
UPDATE messaging_batch SET
    accepted = accepted + %(accepted)s, failed = failed + %(failed)s, skipped = skipped + %(skipped)s,
    targeted = targeted - cardinality(%(moved)s::bigint[]),
    registration_ids = CASE WHEN cardinality(%(moved)s::bigint[]) = 0 THEN registration_ids
        ELSE ARRAY(SELECT unnest(registration_ids) EXCEPT ALL SELECT unnest(%(moved)s::bigint[])) END,
    state = CASE WHEN %(is_finished)s THEN 'done' ELSE state END, lease_until = now() + make_interval(secs => %(lease)s)
WHERE id = %(id)s AND attempt = %(attempt)s AND state = 'sending'
"""


def record(progress: Sequence[Progress]) -> list[ClaimedBatch]:
    """Write the progress of several batches in one transaction; the batches that had been lost to another worker."""
    lost: list[ClaimedBatch] = []
    kept: list[Progress] = []
    with transaction.atomic():
        for entry in progress:
            if _advance(entry):
                kept.append(entry)
            else:
                lost.append(entry.batch)
        _copy_results(kept)
        for entry in kept:
            _insert_retries(entry)
    gone = [token for entry in kept for token in entry.gone]
    if gone:
        # After the commit, in a transaction of its own: registrations must never wait for a batch
        disable_gone(gone)
    return lost


def _advance(entry: Progress) -> bool:
    outcomes = [result.outcome for result in entry.results]
    accepted = outcomes.count(DeliveryOutcome.ACCEPTED)
    skipped = sum(outcome in SKIPPED_OUTCOMES for outcome in outcomes)
    with connection.cursor() as cursor:
        cursor.execute(
            _ADVANCE,
            {
                "accepted": accepted,
                "skipped": skipped,
                "failed": len(outcomes) - accepted - skipped,
                "moved": [device.registration_id for device in entry.postponed],
                "is_finished": entry.is_finished,
                "lease": LEASE_S,
                "id": entry.batch.pk,
                "attempt": entry.batch.attempt,
            },
        )
        return bool(cursor.rowcount == 1)


def _copy_results(progress: Iterable[Progress]) -> None:
    now = datetime.now(UTC).isoformat()
    lines = [_line(entry.batch, result, now) for entry in progress for result in entry.results]
    if not lines:
        return
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.write("".join(lines))


def _line(batch: ClaimedBatch, result: Result, now: str) -> str:
    """One row in COPY's text format: a joined string costs a third of `write_row` (platform.md 3b)."""
    return (
        f"{batch.fired_on}\t{batch.occurrence_id}\t{result.registration_id}\t{batch.push_service.value}\t"
        f"{result.outcome.value}\t{_escape(result.reason)}\t{result.http_status}\t{_escape(result.provider_id)}\t"
        f"{_escape(result.detail)}\t{batch.tries + 1}\t{now}\n"
    )


def _escape(text: str) -> str:
    if text.isalnum() or not text:
        return text
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "")


def _shared_wait_s(delay_s: float) -> int:
    """The wait on a grid that is the coarser the longer it is; rounded up, never earlier than the service asked."""
    step = max(_SHARE_WAIT_S, 1 << max(0, int(delay_s).bit_length() - 4))
    return math.ceil(delay_s / step) * step


def _insert_retries(entry: Progress) -> None:
    waits: dict[tuple[int, int], list[int]] = defaultdict(list)
    for device in entry.postponed:
        waits[device.tries, _shared_wait_s(device.delay_s)].append(device.registration_id)
    with connection.cursor() as cursor:
        for (tries, wait_s), ids in waits.items():
            cursor.execute(
                "INSERT INTO messaging_batch (occurrence_id, push_service, registration_ids, state, due_at, tries, "
                "turn, attempt, begun, owner, targeted, accepted, failed, skipped) "
                "VALUES (%s, %s, %s, 'waiting', now() + make_interval(secs => %s), %s, %s, 0, 0, '', %s, 0, 0, 0)",
                [
                    entry.batch.occurrence_id,
                    entry.batch.push_service.value,
                    ids,
                    wait_s,
                    tries,
                    entry.batch.turn,
                    len(ids),
                ],
            )
