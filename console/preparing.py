"""What the database and this machine need before any part of Clarion runs, done by one machine at a time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import psycopg

from console import startup
from messaging import database

#: any number nobody else uses
_LOCK = 0x0C1A5E7A
_ASK_EVERY_S = 0.25


def prepare() -> tuple[str, str] | None:
    """Schema, partitions, housekeeping, static files; name and password of the administrator, if one was made now."""
    with _alone():
        startup.prepare_database()
        administrator = startup.first_administrator()
    startup.collect_static()
    return administrator


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep other machines waiting: two that migrate an empty database at once fail on each other's tables.

    The lock is asked for again and again. CREATE INDEX CONCURRENTLY in a migration waits for every statement that began
    before it, so one that waited for the lock would never end.
    """
    with psycopg.connect(**database.connection_parameters(), autocommit=True) as holder:
        database.give_up_on_dead_peers(holder)
        while holder.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone() != (True,):
            time.sleep(_ASK_EVERY_S)
        yield  # closing the connection lets go
