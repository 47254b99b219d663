"""Child processes: started again when they fall, ended with everything they started, and never outliving us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.processes import Child, stop_all
from tests.messaging.processes import children_of, is_running
from tests.messaging.stage import wait_until

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); time.sleep(60)",
]


@pytest.fixture
def started() -> Iterator[list[Child]]:
    children: list[Child] = []
    yield children
    for child in children:
        child.kill_group()


def start(started: list[Child], command: list[str]) -> Child:
    child = Child(name="test", command=command)
    child.start()
    started.append(child)
    return child


def pid_of(child: Child) -> int:
    assert child.process is not None
    return child.process.pid


def test_a_child_that_falls_is_started_again(started: list[Child]) -> None:
    child = start(started, SLEEP)
    first = pid_of(child)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not child.is_running, 5, "the fall")

    assert child.keep() is True
    wait_until(lambda: child.keep() is False and child.is_running, 5, "the next start")

    assert pid_of(child) != first


def test_a_child_that_keeps_falling_is_started_ever_more_rarely(started: list[Child]) -> None:
    child = start(started, [sys.executable, "-c", ""])
    falls: list[float] = []

    def has_fallen_thrice() -> bool:
        if child.keep():
            falls.append(time.monotonic())
        return len(falls) == 3

    wait_until(has_fallen_thrice, 20, "three falls")
    assert falls[2] - falls[1] > falls[1] - falls[0] > 0.5


def test_stopping_ends_what_a_stubborn_child_started_too(started: list[Child]) -> None:
    child = start(started, STUBBORN)
    wait_until(lambda: bool(children_of(pid_of(child))), 10, "the grandchild")
    (grandchild,) = children_of(pid_of(child))
    began = time.monotonic()

    stop_all([child], 1.0)

    assert time.monotonic() - began < 3
    wait_until(lambda: not is_running(grandchild), 5, "the grandchild's end")
    assert not child.is_running


def test_a_child_ends_when_its_parent_is_killed() -> None:
    program = (
        "import sys, time; from console.processes import Child\n"
        "Child(name='x', command=[sys.executable, '-c', 'import time; time.sleep(60)']).start()\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    wait_until(lambda: bool(children_of(parent.pid)), 10, "the child")
    (child,) = children_of(parent.pid)
    wait_until(lambda: b"sleep" in Path(f"/proc/{child}/cmdline").read_bytes(), 5, "exec")

    parent.kill()
    parent.wait()

    wait_until(lambda: not is_running(child), 5, "the child's end")
