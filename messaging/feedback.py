"""Write what became of devices: the only writer of outcomes, batch counts and dead tokens."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db import connection, transaction

from devices.registration import GoneToken, disable_gone
from messaging import database
from messaging.batches import LEASE_S, ClaimedBatch
from messaging.models import SKIPPED_OUTCOMES, DeliveryOutcome
from messaging.verdicts import Result


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
UPDATE messaging_batch b SET
    accepted = b.accepted + p.accepted, failed = b.failed + p.failed, skipped = b.skipped + p.skipped,
    state = CASE WHEN p.is_finished THEN 'done' ELSE b.state END, lease_until = now() + make_interval(secs => %(lease)s)
FROM unnest(%(ids)s::bigint[], %(attempts)s::int[], %(accepted)s::int[], %(failed)s::int[], %(skipped)s::int[],
            %(finished)s::bool[]) AS p (id, attempt, accepted, failed, skipped, is_finished)
WHERE b.id = p.id AND b.attempt = p.attempt AND b.state = 'sending'
RETURNING b.id, b.attempt
"""

_MOVE_OUT = """
UPDATE messaging_batch SET targeted = targeted - cardinality(%(moved)s::bigint[]),
    registration_ids = ARRAY(SELECT unnest(registration_ids) EXCEPT ALL SELECT unnest(%(moved)s::bigint[]))
WHERE id = %(id)s
"""


def record(progress: Sequence[Progress]) -> list[ClaimedBatch]:
    """Write the progress of several batches in one transaction; the batches that had been lost to another worker."""
    with transaction.atomic():
        advanced = _advance(progress)
        kept = [entry for entry in progress if (entry.batch.pk, entry.batch.attempt) in advanced]
        _copy_results(kept)
        for entry in kept:
            if entry.postponed:
                _move_out(entry)
                _insert_retries(entry)
    gone = [token for entry in kept for token in entry.gone]
    if gone:
        # After the commit, in a transaction of its own: registrations must never wait for a batch
        disable_gone(gone)
    return [entry.batch for entry in progress if (entry.batch.pk, entry.batch.attempt) not in advanced]


def _advance(progress: Sequence[Progress]) -> set[tuple[int, int]]:
    """Add to the counts of all the batches in one statement; those that were still ours, each with its attempt.

    A drain that stood still for longer than its lease may have taken its own batch once more, and then holds two.
    """
    counts = [_counts(entry.results) for entry in progress]
    with connection.cursor() as cursor:
        cursor.execute(
            _ADVANCE,
            {
                "ids": [entry.batch.pk for entry in progress],
                "attempts": [entry.batch.attempt for entry in progress],
                "accepted": [accepted for accepted, _, _ in counts],
                "failed": [failed for _, failed, _ in counts],
                "skipped": [skipped for _, _, skipped in counts],
                "finished": [entry.is_finished for entry in progress],
                "lease": LEASE_S,
            },
        )
        return set(cursor.fetchall())


def _counts(results: Sequence[Result]) -> tuple[int, int, int]:
    """How many were accepted, failed and were skipped."""
    others = [result.outcome for result in results if result.outcome is not DeliveryOutcome.ACCEPTED]
    skipped = sum(outcome in SKIPPED_OUTCOMES for outcome in others)
    return len(results) - len(others), len(others) - skipped, skipped


def _copy_results(progress: Iterable[Progress]) -> None:
    now = database.now().isoformat()
    lines = [line for entry in progress for line in _lines(entry, now)]
    if not lines:
        return
    # Django translates errors of `copy()`, not of its block: a full disk would pass the rescue of answers by
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.write("".join(lines))


def _lines(entry: Progress, now: str) -> list[str]:
    """Rows in COPY's text format: a joined string costs a third of `write_row` (platform.md 3b)."""
    batch = entry.batch
    head = f"{batch.fired_on}\t{batch.occurrence_id}"
    service, tail = batch.push_service.value, f"{batch.tries + 1}\t{now}\n"
    return [
        "\t".join(
            (
                head,
                str(result.registration_id),
                service,
                result.outcome,  # a str, whose value join takes without a call
                result.reason and _escape(result.reason),
                str(result.http_status),
                result.provider_id and _escape(result.provider_id),
                result.detail and _escape(result.detail),
                tail,
            )
        )
        for result in entry.results
    ]


def _escape(text: str) -> str:
    if text.isprintable() and "\\" not in text:
        return text
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "")


def _shared_wait_s(delay_s: float) -> int:
    """The wait on a grid that is the coarser the longer it is; rounded up, never earlier than the service asked.

    Devices that are due again within the same second, or within 6 to 13 % of a long wait, share a batch.
    """
    # In steps of 5 s all that a 500 sends away for 10 to 15 s would come back in the same moment
    step = 1 << max(0, int(delay_s).bit_length() - 4)
    return math.ceil(delay_s / step) * step


def _move_out(entry: Progress) -> None:
    """Take the devices that are tried again out of the batch: they get one of their own."""
    with connection.cursor() as cursor:
        moved = [device.registration_id for device in entry.postponed]
        cursor.execute(_MOVE_OUT, {"moved": moved, "id": entry.batch.pk})


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
