"""Clarion's processes for fault tests: started on the test's database, found through /proc, ended by their own pids."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from messaging.models import WorkerGroup
from tests.messaging.stage import process_environment, wait_until


def report(line: str) -> None:
    """Show a figure; `pytest -s` prints it."""
    sys.stderr.write(f"\n{line}\n")


def children_of(pid: int) -> list[int]:
    """Direct children."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def descendants_of(pid: int) -> list[int]:
    """Children, their children, and so on."""
    found = children_of(pid)
    for child in tuple(found):
        found += descendants_of(child)
    return found


def is_running(pid: int) -> bool:
    """Whether the process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def worker_pids(group: subprocess.Popen[bytes]) -> list[int]:
    """Workers of a `manage.py workers`: of the cluster's processes those that hold a connection to a push service.

    The cluster forks its guard, and that pusher, monitor and workers; which is which shows in the order of their pids:
    django-q2 starts the workers first.
    """
    (cluster,) = children_of(group.pid)
    (guard,) = children_of(cluster)
    return sorted(children_of(guard))[: settings.WORKERS]


@contextlib.contextmanager
def command(*words: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running `manage.py` command; ended, with all that it started, when the block is left."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", *words],
        cwd=settings.BASE_DIR,
        env={**process_environment(), "CLARION_LOG_LEVEL": "ERROR", **environment},
    )
    try:
        yield process
    finally:
        family = [process.pid, *descendants_of(process.pid)]
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        for pid in family:
            if is_running(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def workers_and_ticker(groups: int = 1) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many worker groups that have shown they run jobs, and a ticker."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(command("ticker"))
        started = [stack.enter_context(command("workers")) for _ in range(groups)]
        wait_until(lambda: WorkerGroup.objects.count() == groups + 1, 30, "groups to announce themselves")
        wait_until(lambda: all(len(descendants_of(group.pid)) >= 4 for group in started), 30, "workers to start")
        yield started
