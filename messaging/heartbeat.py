"""Signs of life of tickers and worker groups, in the database where the console and /health read them."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import timedelta

from django.db import connection
from django.db.models.functions import Now

from messaging.models import WorkerGroup

#: a group not seen for this long is taken for dead
DEAD_AFTER = timedelta(seconds=20)
#: a group silent for longer has not been seen without a gap; half of a lease, so that no lease runs out in a gap unseen
_GAP_S = 15.0
#: after the database's return everybody alive gives a sign of life within this time: reconnecting takes up to 6 s
GRACE_S = 15.0

#: SQL: workers have been seen without a gap for so long that whoever kept silent meanwhile is dead. While nobody could
#: reach the database, silence means nothing.
IS_WITNESSED = f"""EXISTS (
    SELECT FROM messaging_workergroup
    WHERE kind = 'workers' AND seen_at > now() - interval '{_GAP_S} s' AND seen_since < now() - interval '{GRACE_S} s'
)"""  # noqa: S608


def new_name(kind: str) -> str:
    """A name that no group had before: a container started again has the host name and process id of the last one.

    Of the host its end, where clusters of containers put what tells them apart.
    """
    return f"{socket.gethostname()[-24:]}:{os.getpid()}-{secrets.token_hex(3)}:{kind}"


def announce(name: str, *, kind: str, workers: int = 0) -> None:
    """Enter a group, or record that it is still there; forget those silent for a day."""
    WorkerGroup.objects.filter(seen_at__lt=Now() - timedelta(days=1)).delete()
    known = {"kind": kind, "workers": workers, "host": socket.gethostname(), "is_stopping": False}
    WorkerGroup.objects.update_or_create(name=name, defaults=known)
    seen(name)


def seen(name: str) -> bool:
    """Record that the group works; whether it was asked to end."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_workergroup SET seen_at = now(), seen_since = "
            "CASE WHEN seen_at > now() - make_interval(secs => %s) THEN seen_since ELSE now() END "
            "WHERE name = %s RETURNING is_stopping",
            [_GAP_S, name],
        )
        row = cursor.fetchone()
    return row is not None and bool(row[0])


def withdraw(name: str) -> None:
    """Remove a group that ends."""
    WorkerGroup.objects.filter(name=name).delete()


def request_stop(name: str) -> None:
    """Ask the group's drains to end: they finish what is on the wire and give the rest back."""
    WorkerGroup.objects.filter(name=name).update(is_stopping=True)


def live_workers() -> int:
    """Workers of every group seen lately."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(workers), 0) FROM messaging_workergroup "
            "WHERE kind = 'workers' AND seen_at > now() - make_interval(secs => %s)",
            [DEAD_AFTER.total_seconds()],
        )
        (workers,) = cursor.fetchone()
    return int(workers)


def silence(name: str) -> timedelta | None:
    """How long nothing was heard of the group, by the database's clock; None when it is unknown."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now() - seen_at FROM messaging_workergroup WHERE name = %s", [name])
        row = cursor.fetchone()
    if row is None:
        return None
    assert isinstance(row[0], timedelta)
    return row[0]
