"""Statements of every API call, run as prepared ones: values go beside them, and the server keeps their plans.

Django's own cursors write the values into the statement, which PostgreSQL then reads and plans anew each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import connection


def fetch_all(statement: str | bytes, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows that the statement gives. Raises Django's database errors.

    Outside a transaction it is committed with the last of them.
    """
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        return cursor.execute(statement, values, prepare=True).fetchall()
