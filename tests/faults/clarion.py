"""Clarion as it runs in production, for fault tests: its processes on the test's database, and how a campaign ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping

from messaging.models import Occurrence, WorkerGroup
from tests.messaging.processes import command, descendants_of, is_running
from tests.messaging.stage import Stage, fresh, wait_until

Process = subprocess.Popen[bytes]


@contextlib.contextmanager
def sender(
    groups: int = 1, *, tickers: int = 1, workers: int = 2, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[list[Process], list[Process]]]:
    """Worker groups and tickers that have announced themselves."""
    extra = dict(environment or {})
    with contextlib.ExitStack() as stack:
        ticking = [stack.enter_context(command("ticker", **extra)) for _ in range(tickers)]
        words = ("workers", "--workers", str(workers))
        working = [stack.enter_context(command(*words, **extra)) for _ in range(groups)]
        wait_until(lambda: are_announced([*ticking, *working]), 180, "workers and tickers to announce themselves")
        wait_until(lambda: all(len(descendants_of(group.pid)) >= 4 for group in working), 180, "workers to start")
        yield working, ticking


def are_announced(processes: Iterable[Process]) -> bool:
    """Whether each has an entry of its own in the table of signs of life."""
    known = {re.split("[:-]", name)[-3] for name in WorkerGroup.objects.values_list("name", flat=True)}
    return {str(process.pid) for process in processes} <= known


def duplicates(stage: Stage) -> int:
    """Requests beyond the first of each token, by the simulators' log."""
    counts = stage.requests_by_token()
    return sum(counts.values()) - len(counts)


def is_closed(occurrence: Occurrence) -> bool:
    """Whether every device of the firing has its outcome."""
    return fresh(occurrence).closed_at is not None


def family_of(process: Process) -> list[int]:
    """The process and all it started."""
    return [process.pid, *descendants_of(process.pid)]


def send_signal(pids: Iterable[int], number: signal.Signals) -> None:
    """To each process that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_all(processes: Iterable[Process]) -> None:
    """-9 for whole process trees at the same moment, as a power cut or a vanished host does it; waits for their end."""
    pids = [pid for process in processes for pid in family_of(process)]
    send_signal(pids, signal.SIGKILL)
    wait_until(lambda: not any(map(is_running, pids)), 10, "the killed processes to be gone")
