"""The other side of `drain_nursery`: a process with Django loaded and no connection open, which forks drains."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from messaging.drain import Drain


def serve() -> None:
    """Answer one command a line with a number, until the input ends."""
    for line in sys.stdin:
        name, *pids = line.split()
        sys.stdout.write(f"{_COMMANDS[name](*map(int, pids))}\n")
        sys.stdout.flush()


def _ready() -> int:
    return 0


def _drain() -> int:
    """Fork a process that drains once; its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        Drain().run()
        code = 0
    except Exception:  # noqa: BLE001  # a child that came back would answer in its parent's place
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _ended(pid: int) -> int:
    return int(os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None)


def _wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


_COMMANDS: dict[str, Callable[..., int]] = {"ready": _ready, "drain": _drain, "ended": _ended, "wait": _wait}
