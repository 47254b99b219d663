"""The database as clock and bell: the only clock that decides when something is due, and NOTIFY."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from django.db import connection


def now() -> datetime:
    """The moment, as the database sees it: inside a transaction, when that began."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        (moment,) = cursor.fetchone()
    assert isinstance(moment, datetime)
    return moment


def connection_parameters() -> dict[str, Any]:
    """What psycopg.connect takes for a connection outside Django's."""
    parameters = connection.get_connection_params()
    for of_django in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(of_django, None)
    return parameters


def listening_connection(channel: str) -> psycopg.Connection:
    """A connection of its own that hears NOTIFYs of the channel."""
    listener = psycopg.connect(**connection_parameters(), autocommit=True)
    listener.execute(f"LISTEN {channel}")
    return listener
