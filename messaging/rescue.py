"""When the database goes away in mid-campaign: keep what the push services answer until it is back.

Without it every request on the wire, and every answer not yet written, would be sent once more by the next drain:
544 duplicates at a restart of PostgreSQL with two workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from django.db import InterfaceError, OperationalError, connection

from messaging import batches, feedback
from messaging.batch_run import BatchRun, OnWire
from messaging.feedback import Progress
from messaging.models import Batch, Delivery
from messaging.providers.base import OutcomeKind

_LOOK_AGAIN_S = 0.5
#: what is on the wire is waited for, a little longer than a request may take
_PATIENCE_S = 16.0
#: nothing is known of the device yet: it is simply sent to by whoever takes the batch next
_UNSETTLED = frozenset({OutcomeKind.REAUTH, OutcomeKind.PAUSE})


@contextmanager
def progress_of(runs: Sequence[BatchRun]) -> Iterator[list[Progress]]:
    """What is to be written of the runs; it goes back to them when the database fails."""
    progress = [run.take_progress() for run in runs]
    try:
        yield progress
    except (InterfaceError, OperationalError):
        for run, unwritten in zip(runs, progress, strict=True):
            run.put_back(unwritten)
        raise


def keep_answers(runs: Sequence[BatchRun], on_wire: dict[int, OnWire], sign_of_life: Callable[[], None]) -> None:
    """Take the answers that are due, then write everything and give the batches back, however long that takes.

    `sign_of_life` is given at every try: the first thing after the database's return, it keeps the leases; and on a
    full disk it can be written where outcomes cannot, without which the watchdog would kill the worker.
    """
    for run in runs:
        run.is_stopped = True
    give_up_at = time.monotonic() + _PATIENCE_S
    while True:
        connection.close()
        look_again_at = time.monotonic() + _LOOK_AGAIN_S
        with suppress(InterfaceError, OperationalError):
            sign_of_life()
            if not on_wire or time.monotonic() >= give_up_at:
                _write(runs)
                return
        while on_wire and time.monotonic() < look_again_at:
            _receive(on_wire)
        time.sleep(max(0.0, look_again_at - time.monotonic()))


def _write(runs: Sequence[BatchRun]) -> None:
    with progress_of(runs) as progress:
        for entry in progress:
            entry.is_finished = False  # a device whose answer met the fault may be in no list
            _leave_out_written(entry)
        feedback.record(progress)
        for run in runs:
            batches.release(run.batch)


def _leave_out_written(entry: Progress) -> None:
    """The commit may have been the last thing that worked, its acknowledgement the first that did not."""
    batch, ids = entry.batch, [result.registration_id for result in entry.results]
    known = Delivery.objects.filter(
        fired_on=batch.fired_on, occurrence_id=batch.occurrence_id, registration_id__in=ids
    ).values_list("registration_id", flat=True)
    written = set(known)
    entry.results = [result for result in entry.results if result.registration_id not in written]
    held = set(Batch.objects.values_list("registration_ids", flat=True).get(pk=batch.pk))
    entry.postponed = [device for device in entry.postponed if device.registration_id in held]


def _receive(on_wire: dict[int, OnWire]) -> None:
    for provider in {sent.run.provider for sent in on_wire.values()}:
        for answer in provider.transport.poll(0.05):
            sent = on_wire.pop(answer.key, None)
            if sent is None:
                continue
            outcome = provider.parse(answer)
            if outcome.kind not in _UNSETTLED:
                sent.run.settle(sent.target, outcome)
