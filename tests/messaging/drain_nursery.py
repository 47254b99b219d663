"""Drains in processes of their own within 20 ms: forked by a process that has Django loaded and no connection open.

A drain that is to be killed with -9 must be a process, and to start Django for each takes a second.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Self

from django.conf import settings

from tests.messaging.stage import process_environment

_PROGRAM = "import django; django.setup()\nfrom tests.messaging.drain_forks import serve\nserve()\n"


class DrainNursery:
    """Starts and ends the forking process as a context manager, and drains in between."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            env={**process_environment(), "DJANGO_SETTINGS_MODULE": "console.settings", "CLARION_LOG_LEVEL": "ERROR"},
            cwd=settings.BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ask("ready")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)  # it ends with its input

    def start(self) -> int:
        """Another process that drains once, as a worker does; its pid."""
        return self._ask("drain")

    def has_ended(self, pid: int) -> bool:
        """Whether the drain is over and `wait` will answer at once."""
        return self._ask(f"ended {pid}") == 1

    def wait(self, pid: int) -> int:
        """Until the drain is over: its exit code, negative for a signal."""
        return self._ask(f"wait {pid}")

    def kill(self, pid: int) -> None:
        """End the drain with -9, wherever it is."""
        os.kill(pid, signal.SIGKILL)  # nobody has waited for it, so the pid is still its own
        self.wait(pid)

    def _ask(self, words: str) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{words}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())
