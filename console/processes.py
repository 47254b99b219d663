"""Child processes that end with their parent: started in a session of their own, restarted when they fall."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
#: a child that falls again within this time waits longer before the next start
_STEADY_AFTER_S = 30.0
_LONGEST_WAIT_S = 15.0


def die_with_parent() -> None:
    """Have the kernel end the child when the process that started it is gone, even by kill -9 (Linux prctl(2))."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass(slots=True, kw_only=True)
class Child:
    """One command kept running."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    is_quiet: bool = False  #: its standard output is for programs; its log goes to standard error
    process: subprocess.Popen[bytes] | None = None
    _started_at: float = 0.0
    _falls: int = 0
    _start_at: float = 0.0

    def start(self, stdout: int | None = None) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches only the parent, which then stops its children.

        `stdout`: a file descriptor for its output, the parent's otherwise.
        """
        self._started_at = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603  # our own commands
            self.command,
            env={**os.environ, **self.env},
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509  # the parent has one thread
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if self.is_quiet else stdout,
        )

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    @property
    def has_children(self) -> bool:
        """Whether a process that it started itself is there; one that ended and was not waited for does not count."""
        if self.process is None:
            return False
        listing = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return any(not _is_zombie(int(pid)) for pid in listing.read_text().split())
        return False

    def keep(self) -> bool:
        """Start it again if it fell, waiting longer each time it falls at once; whether it fell now."""
        now = time.monotonic()
        if self.is_running:
            if now - self._started_at > _STEADY_AFTER_S:
                self._falls = 0
            return False
        if self._start_at == 0.0:
            self.kill_group()  # what a killed parent left behind would work beside its successor
            self._falls += 1
            self._start_at = now + min(_LONGEST_WAIT_S, 0.25 * 2**self._falls)
            return True
        if now >= self._start_at:
            self._start_at = 0.0
            self.start()
        return False

    def ask_to_stop(self) -> None:
        """Send the stop signal to the process itself: django-q2 hangs when its whole group gets one (its issue 346)."""
        if self.is_running:
            assert self.process is not None
            self.process.send_signal(self.stop_signal)

    def end(self, timeout_s: float) -> None:
        """Wait for it, then kill whatever is left of its group."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, timeout_s))
        self.kill_group()

    def kill_group(self) -> None:
        """End the process and everything it started, at once."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _is_zombie(pid: int) -> bool:
    """Whether it has ended (proc(5): the state stands behind the name in brackets)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def stop_all(children: Sequence[Child], timeout_s: float) -> None:
    """Stop the children together, within `timeout_s` seconds in all."""
    give_up_at = time.monotonic() + timeout_s
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.end(give_up_at - time.monotonic())
