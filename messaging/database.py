"""The database as clock and bell: the only clock that decides when something is due, and NOTIFY."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from django.db import connection

#: sooner than the lease of a batch lapses (30 s); on a Unix socket the TCP settings do nothing
_DEAD_PEERS = """
SET idle_in_transaction_session_timeout = '25s';
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 2;
SET tcp_user_timeout = '20s'
"""
_END_STUCK_COPIES = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND state = 'active' AND wait_event = 'ClientRead'
AND query LIKE 'COPY messaging_delivery %%' AND query_start < now() - make_interval(secs => %s)
"""


def now() -> datetime:
    """The moment, as the database sees it: inside a transaction, when that began."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        (moment,) = cursor.fetchone()
    assert isinstance(moment, datetime)
    return moment


def hold_locks_briefly() -> None:
    """For a transaction whose rows others wait for: a process that is stopped in it loses them after two seconds.

    PostgreSQL ends its session, so when it goes on, the next statement fails and nothing of the transaction is kept.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '2s'")


def connection_parameters() -> dict[str, Any]:
    """What psycopg.connect takes for a connection outside Django's."""
    parameters = connection.get_connection_params()
    for of_django in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(of_django, None)
    return parameters


def give_up_on_dead_peers(connection: Any, **_: object) -> None:
    """Have PostgreSQL end the session of a process that vanished with its host (receiver of `connection_created`).

    No farewell comes from such a process: its locks, on batches say, would be held for TCP's own two hours.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DEAD_PEERS)


def end_stuck_copies(after_s: float = 25.0) -> int:
    """End sessions stuck in the middle of writing outcomes for as long as an idle transaction may be; how many.

    Such a COPY holds the rows of its batches, and no timeout of PostgreSQL's ends it: it is no idle transaction, nor
    can a statement be cancelled that reads from its client. TCP may keep it for ever where a proxy or a stopped process
    is at the other end.
    """
    with connection.cursor() as cursor:
        cursor.execute(_END_STUCK_COPIES, [after_s])
        return int(cursor.rowcount)


def listening_connection(channel: str) -> psycopg.Connection:
    """A connection of its own that hears NOTIFYs of the channel."""
    listener = psycopg.connect(**connection_parameters(), autocommit=True)
    listener.execute(f"LISTEN {channel}")
    return listener
