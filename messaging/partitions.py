"""Weekly partitions of `messaging_delivery`, so that retention drops a table instead of deleting rows.

None of it may stop senders: a lock that waits for a reader has every writer wait behind it, and a reader may be a
backup that takes hours. So tables are attached and detached by the statements that keep out of everybody's way.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from enum import Enum

from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg.errors import LockNotAvailable

logger = logging.getLogger(__name__)

#: any number nobody else uses: makers of partitions wait for each other instead of failing
_LOCK = 0x0C1A5107
_WEEK = timedelta(days=7)
#: how long a week is waited for that somebody is reading; housekeeping comes again
_PATIENCE_S = 2


class _Bond(Enum):
    """How far a table is from being dropped; the value is how it is detached."""

    ATTACHED = "CONCURRENTLY"
    PENDING = "FINALIZE"  #: an earlier run could not wait for the readers
    DETACHED = ""


_WEEKS = """
SELECT c.relname, CASE WHEN i.inhrelid IS NULL THEN '' WHEN i.inhdetachpending THEN 'FINALIZE' ELSE 'CONCURRENTLY' END
FROM pg_class parent
JOIN pg_class c ON c.relnamespace = parent.relnamespace AND c.relname ~ '^messaging_delivery_[0-9]{8}$'
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE parent.oid = 'messaging_delivery'::regclass AND c.relkind = 'r' ORDER BY 1
"""


def ensure_partition(day: date) -> None:
    """Create the partition that holds `day`, unless it is there."""
    monday = day - timedelta(days=day.weekday())
    name = f"messaging_delivery_{monday:%Y%m%d}"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
        if cursor.fetchone() == (True,):
            return
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        if name in _weeks(cursor):
            return
        # CREATE ... PARTITION OF would lock the table against everybody
        cursor.execute(f"CREATE TABLE {name} (LIKE messaging_delivery INCLUDING ALL)")
        cursor.execute(
            f"ALTER TABLE messaging_delivery ATTACH PARTITION {name} "
            f"FOR VALUES FROM ('{monday.isoformat()}') TO ('{(monday + _WEEK).isoformat()}')"
        )


def drop_partitions_before(day: date) -> list[str]:
    """Drop the partitions whose every row is older than `day`, outside of a transaction; the names of those that went.

    One that somebody reads is left for the next time; what is written meanwhile does not wait.
    """
    with connection.cursor() as cursor:
        weeks = _weeks(cursor)
    old = [name for name in weeks if date.fromisoformat(name.rpartition("_")[2]) + _WEEK <= day]
    with _patience():
        return [name for name in old if _drop(name, weeks[name])]


def _weeks(cursor: CursorWrapper) -> dict[str, _Bond]:
    """The tables there are, oldest first. Read from pg_class: `to_regclass` may still say no to what was made since."""
    cursor.execute(_WEEKS)
    return {name: _Bond(bond) for name, bond in cursor.fetchall()}


def _drop(name: str, bond: _Bond) -> bool:
    """Whether it went."""
    try:
        with connection.cursor() as cursor:
            if bond is not _Bond.DETACHED:
                cursor.execute(f"ALTER TABLE messaging_delivery DETACH PARTITION {name} {bond.value}")
            cursor.execute(f"DROP TABLE {name}")
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        logger.info("%s is being read: it goes another time", name)
        return False
    return True


@contextmanager
def _patience() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{_PATIENCE_S}s'")
        try:
            yield
        finally:
            cursor.execute("RESET lock_timeout")
