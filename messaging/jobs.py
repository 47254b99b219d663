"""Entry points of the background jobs: arguments are ids, each calls one step."""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta

from django.conf import settings

from messaging import database, heartbeat, partitions, queue
from messaging.drain import Drain
from messaging.idempotency import forget_old_keys
from messaging.polling import forget_unused

#: A drain that stands still for so long hangs for good: the kernel ends its process (SIGALRM), and the cluster starts
#: another. Long enough to outlast a server that holds its answers back for minutes: what the drain holds is written
#: then, while everything it had on the wire would be sent again by its successor.
_HANGS_AFTER_S = 300


def drain() -> None:
    """Plan and send what is open, for up to 20 seconds; a SIGTERM lets it write what it holds, then ends the worker."""
    _stop_if_orphaned()
    work = Drain(alive=lambda: signal.alarm(_HANGS_AFTER_S))
    terminated = threading.Event()

    def stop(*_: object) -> None:
        terminated.set()
        work.stop()

    # django-q2's own handler would raise an error wherever the drain stands, for the drain to deal with
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_HANGS_AFTER_S)
    former = signal.signal(signal.SIGTERM, stop)
    try:
        work.run()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGTERM, former)
    if terminated.is_set():
        raise SystemExit


def beat(worker_group: str) -> None:
    """Prove that the worker group still runs jobs."""
    _stop_if_orphaned()
    heartbeat.seen(worker_group)


def keep_house() -> None:
    """Make the partitions of the coming weeks, drop those past retention, forget what the API need not know."""
    today = database.now().date()
    for weeks in range(5):
        partitions.ensure_partition(today + timedelta(weeks=weeks))
    forget_old_keys()
    forget_unused()
    queue.forget_stale_jobs()
    partitions.drop_partitions_before(today - timedelta(days=settings.DELIVERY_RETENTION_DAYS))


def _stop_if_orphaned() -> None:
    """End the whole worker group when the watchdog that started it is gone: another one has its place by then."""
    watchdog = os.environ.get("CLARION_WATCHDOG_PID")
    if watchdog is None:
        return
    try:
        os.kill(int(watchdog), 0)
    except ProcessLookupError:
        os.killpg(0, signal.SIGKILL)
