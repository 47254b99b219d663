"""Keep one cluster of django-q2 workers alive: restart it when it falls or, worse, when it hangs.

An idle worker killed with -9 holds the lock of django-q2's queue for ever: the cluster looks alive and does nothing
(platform.md 4). So the cluster has to prove itself by running a heartbeat job of its own every few seconds. A signal to
its whole process group leaves nothing but a main process that waits for ever (django-q2's issue 346): that is seen.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError, connection

from console.processes import Child
from messaging import database, heartbeat, owners, queue

logger = logging.getLogger(__name__)

_BEAT_EVERY_S = 3.0
#: no job run for this long, with a heartbeat waiting: the cluster hangs. A drain beats once a second.
_HANGS_AFTER = timedelta(seconds=15)
#: starting takes a few seconds on a busy machine
_GRACE_S = 30.0
_STOP_S = 10.0
#: a drain hears of its end within a second, and an answer takes a few at most; whoever hangs is not waited for longer
_FINISH_S = 5.0


class Watchdog:
    """One `manage.py workers`."""

    def __init__(self, workers: int) -> None:
        self.group = heartbeat.new_name("workers")
        self._workers = workers
        self._started_at = self._beat_at = 0.0
        self._looked_at = datetime.max.replace(tzinfo=UTC)  #: by the database's clock
        self._has_guard = False  #: the process between django-q2's main one and the workers
        self._cluster = Child(
            name="qcluster",
            command=[sys.executable, "manage.py", "qcluster"],
            env={
                "CLARION_WORKER_GROUP": self.group,
                "CLARION_WATCHDOG_PID": str(os.getpid()),
                "CLARION_WORKERS": str(workers),
            },
        )

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Watch until told to stop, then let the drains finish what is on the wire."""
        self._start()
        while not should_stop():
            time.sleep(0.2)
            try:
                self._watch()
            except DatabaseError as error:
                # Without the database nothing can be judged; django-q2 waits for it by itself
                logger.warning("the database is away: %s", type(error).__name__)
                connection.close()
                self._started_at = time.monotonic()
        self._stop()

    def _start(self) -> None:
        heartbeat.announce(self.group, kind="workers", workers=self._workers)
        self._started_at = time.monotonic()
        self._looked_at = database.now()
        self._has_guard = False
        self._cluster.start()

    def _watch(self) -> None:
        now = time.monotonic()
        if not self._cluster.is_running or self._has_lost_guard():
            logger.error("the worker cluster fell, starting it again")
            self._restart()
        elif now - self._beat_at >= _BEAT_EVERY_S:
            self._beat_at = now
            owners.lapse_leases_of_dead(self.group)
            if not queue.waiting_jobs(self.group):
                queue.ring_beat(self.group)
            silence = heartbeat.silence(self.group)
            if self._was_away():
                self._started_at = time.monotonic()
            elif silence is None:
                heartbeat.announce(self.group, kind="workers", workers=self._workers)
            elif silence > _HANGS_AFTER and now - self._started_at > _GRACE_S:
                logger.error("the worker cluster hangs, killing and starting it again")
                self._restart()

    def _has_lost_guard(self) -> bool:
        """Whether the process that starts the workers and looks after them has ended, and its parent does not know."""
        had_guard, self._has_guard = self._has_guard, self._cluster.has_children
        return had_guard and not self._has_guard

    def _was_away(self) -> bool:
        """Whether the database, or this machine, stood still since the last look: nobody could prove anything then."""
        before, self._looked_at = self._looked_at, database.now()
        return self._looked_at - before > _HANGS_AFTER

    def _restart(self) -> None:
        self._let_finish()
        self._cluster.kill_group()
        time.sleep(0.5)
        owners.lapse_leases_of_group(self.group)
        self._start()

    def _let_finish(self) -> None:
        """Workers outlive the rest of their cluster: let them write what they hold, or it would be sent again."""
        heartbeat.request_stop(self.group)
        give_up_at = time.monotonic() + _FINISH_S
        while owners.are_working(self.group) and time.monotonic() < give_up_at:
            time.sleep(0.2)

    def _stop(self) -> None:
        try:
            heartbeat.request_stop(self.group)
            self._cluster.ask_to_stop()
            self._cluster.end(_STOP_S)
            owners.lapse_leases_of_group(self.group)
            heartbeat.withdraw(self.group)
        except DatabaseError:
            self._cluster.kill_group()
