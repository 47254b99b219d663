"""Give the test session its own data directory and, with that, its own PostgreSQL; loaded by `-p` in addopts.

Settings are read before any conftest.py, so the place is chosen on import. The server itself starts when the first test
asks for a database (tests/conftest.py), and goes with the session. TEST_DATABASE_URL or DATABASE_URL names another.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from console import postgres

PREFIX = "clarion-test-"
DATA_DIR = Path(tempfile.mkdtemp(prefix=PREFIX))
atexit.register(shutil.rmtree, DATA_DIR, ignore_errors=True)  # a hook would be left out when settings do not load

os.environ["CLARION_DATA_DIR"] = str(DATA_DIR)
if "TEST_DATABASE_URL" in os.environ:
    os.environ["DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]


def pytest_configure() -> None:
    """Let `kill` end a session as Ctrl-C does, with its fixtures torn down."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextlib.contextmanager
def session_server() -> Iterator[None]:
    """Keep the session's server running, unless the environment names another."""
    if not os.environ.get("DATABASE_URL"):
        _remove_leftovers()
        postgres.ensure_running(DATA_DIR, durable=False)
    try:
        yield
    finally:
        postgres.stop(DATA_DIR)


def _remove_leftovers() -> None:
    """End the servers of sessions that were killed with -9; the lock of a living session keeps its server running."""
    with _one_at_a_time():
        for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            if os.access(folder, os.W_OK) and postgres.running(folder):
                postgres.ensure_running(folder)
                if postgres.stop(folder):
                    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """The processes of one session start together: one would start again what the other is removing."""
    descriptor = os.open(tempfile.gettempdir(), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
