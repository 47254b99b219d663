"""A kept connection is used again without asking the server, and replaced when the server ended it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection, connections

from devices.postgresql.base import DatabaseWrapper

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def kept() -> Iterator[DatabaseWrapper]:
    """A connection of its own, asked once."""
    settings = {**connections.databases["default"], **connection.settings_dict, "CONN_HEALTH_CHECKS": True}
    wrapper = DatabaseWrapper({**settings, "ENGINE": "devices.postgresql"}, "kept")
    wrapper.ensure_connection()
    assert wrapper.is_usable()
    yield wrapper
    wrapper.close()


def _asked_at(wrapper: DatabaseWrapper) -> int:
    """When the server was asked last, in microseconds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT query_start FROM pg_stat_activity WHERE pid = %s", [wrapper.connection.info.backend_pid])
        (moment,) = cursor.fetchone()
    return int(moment.timestamp() * 1_000_000)


def test_a_connection_that_was_asked_lately_is_not_asked_again(kept: DatabaseWrapper) -> None:
    before = _asked_at(kept)

    assert kept.is_usable()
    assert _asked_at(kept) == before


def test_a_connection_that_was_not_asked_for_long_is_asked(kept: DatabaseWrapper) -> None:
    before = _asked_at(kept)
    kept._asked_at -= 60

    assert kept.is_usable()
    assert _asked_at(kept) > before


def test_a_connection_that_the_server_ended_is_replaced(kept: DatabaseWrapper) -> None:
    ended = kept.connection
    pid = ended.info.backend_pid
    with connection.cursor() as cursor:
        # with a timeout it waits until the process is gone
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    kept.close_if_unusable_or_obsolete()  # as Django does at the beginning of a request
    with kept.cursor() as cursor:
        cursor.execute("SELECT 1")

    assert kept.connection is not ended


def test_statements_are_prepared_only_for_cursors_that_ask(kept: DatabaseWrapper) -> None:
    with kept.cursor() as cursor:
        for _ in range(10):
            cursor.execute("SELECT %s::int", [1])
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        assert cursor.fetchone() == (0,)
    with psycopg.Cursor(kept.connection) as cursor:
        cursor.execute("SELECT %s::int", [1], prepare=True)
        assert cursor.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (1,)
