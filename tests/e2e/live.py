"""Clarion as people run it: `manage.py up` with its own data, database, workers and simulators, on a free port."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.free_ports import free_ports

ROOT = Path(__file__).resolve().parent.parent.parent
_START_S = 120
_STOP_S = 30


@dataclass(frozen=True, slots=True)
class LiveClarion:
    """A running Clarion: where, and what it printed for its first administrator."""

    url: str
    user_name: str
    password: str


@contextmanager
def running_clarion() -> Iterator[LiveClarion]:
    """Start it with its demo on a free port; stop it and remove its data afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="clarion-live-"))
    port, _ = free_ports(2)  # live subscribers use the next one
    environment = {name: value for name, value in os.environ.items() if not name.endswith("DATABASE_URL")}
    with (folder / "up.err").open("wb") as errors:
        up = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--port", str(port)],
            cwd=ROOT,
            env=environment | {"CLARION_DATA_DIR": str(folder / "data"), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # so that Ctrl-C in the terminal of the tests leaves stopping to this function
        )
        try:
            greeting = _greeting(up)
            name, password = _sign_in(greeting, folder)
            yield LiveClarion(f"http://localhost:{port}", name, password)
        finally:
            _stop(up)
            shutil.rmtree(folder, ignore_errors=True)


def _greeting(up: subprocess.Popen[bytes]) -> str:
    """Everything printed until the last line of the greeting; a process that ends or hangs ends the reading."""
    assert up.stdout is not None
    signal.signal(signal.SIGALRM, _too_late)
    signal.alarm(_START_S)
    lines = []
    try:
        for line in up.stdout:
            lines.append(line.decode())
            if "Ctrl-C stops it" in lines[-1]:
                break
    finally:
        signal.alarm(0)
    return "".join(lines)


def _too_late(*_: object) -> None:
    raise TimeoutError(f"`manage.py up` did not start within {_START_S} s.")


def _sign_in(greeting: str, folder: Path) -> tuple[str, str]:
    found = re.search(r"Log in as (\S+) with the password (\S+)", greeting)
    if found is None:
        raise RuntimeError(f"`manage.py up` printed no password:\n{greeting}\n{(folder / 'up.err').read_text()}")
    return found[1], found[2]


def _stop(up: subprocess.Popen[bytes]) -> None:
    up.send_signal(signal.SIGTERM)
    try:
        up.communicate(timeout=_STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(up.pid, signal.SIGKILL)
        up.communicate()
