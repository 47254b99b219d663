"""Drains in processes that start within milliseconds: a forked copy of one that has loaded Django already.

A kill at a random moment is only random when the process has something to do at every moment of its life.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from django.conf import settings

from tests.messaging.stage import process_environment

_PROGRAM = """
import os, sys
import django
django.setup()
from messaging.drain import Drain
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        Drain().run()
        os._exit(0)
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print("ended", flush=True)
"""


class DrainForks:
    """One drain at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    def start(self) -> int:
        """The pid of a new drain."""
        self._stdin.write("\n")
        self._stdin.flush()
        return int(self._stdout.readline())

    def wait(self) -> None:
        """Until the drain is gone, by itself or killed."""
        self._stdout.readline()


@contextlib.contextmanager
def drain_forks() -> Iterator[DrainForks]:
    """A process to fork drains from; it holds no database connection that a fork could share."""
    environment = {**process_environment(), "DJANGO_SETTINGS_MODULE": "console.settings"}
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=settings.BASE_DIR,
    )
    try:
        yield DrainForks(process)
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.communicate(timeout=60)


def kill_9(pid: int) -> None:
    """End it at once, if it still runs."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 9)
