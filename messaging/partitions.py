"""Weekly partitions of `messaging_delivery`, so that retention drops a table instead of deleting rows."""

from __future__ import annotations

from datetime import date, timedelta

from django.db import connection, transaction

#: any number nobody else uses: makers of partitions wait for each other instead of failing
_LOCK = 0x0C1A5107
_WEEK = timedelta(days=7)


def ensure_partition(day: date) -> None:
    """Create the partition that holds `day`, unless it is there."""
    monday = day - timedelta(days=day.weekday())
    name = f"messaging_delivery_{monday:%Y%m%d}"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
        if cursor.fetchone() == (True,):
            return
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF messaging_delivery "
            f"FOR VALUES FROM ('{monday.isoformat()}') TO ('{(monday + _WEEK).isoformat()}')"
        )


def drop_partitions_before(day: date) -> list[str]:
    """Drop the partitions whose every row is older than `day`; their names."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'messaging_delivery'::regclass ORDER BY 1"
        )
        names = [row[0] for row in cursor.fetchall()]
        old = [name for name in names if date.fromisoformat(name.rpartition("_")[2]) + _WEEK <= day]
        for name in old:
            cursor.execute(f"DROP TABLE {name}")
    return old
