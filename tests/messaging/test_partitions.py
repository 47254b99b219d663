"""Deliveries are kept in tables of a week each, made ahead and dropped whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection

from messaging import database, partitions
from tests.messaging.stage import in_thread, in_threads, wait_until

MONDAY = date(2024, 2, 26)
WRITE = """
INSERT INTO messaging_delivery (fired_on, occurrence_id, registration_id, push_service, outcome, reason, http_status,
                                provider_id, detail, tries, finished_at)
VALUES (%s, 1, 1, 'fcm', 'accepted', '', 200, '', '', 1, now())
"""


def weeks() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'messaging_delivery'::regclass"
        )
        return sorted(row[0] for row in cursor.fetchall() if "_2024" in row[0])


@pytest.mark.parametrize("day", [MONDAY, MONDAY + timedelta(days=3), MONDAY + timedelta(days=6)])
def test_a_partition_holds_monday_to_sunday(db: None, day: date) -> None:
    partitions.ensure_partition(day)

    assert weeks() == ["messaging_delivery_20240226"]


def test_making_a_partition_twice_makes_one(db: None) -> None:
    partitions.ensure_partition(MONDAY)
    partitions.ensure_partition(MONDAY)

    assert len(weeks()) == 1


def test_makers_of_the_same_partition_do_not_fail_each_other(transactional_db: None) -> None:
    try:
        in_threads(lambda: partitions.ensure_partition(MONDAY), 6)
        assert len(weeks()) == 1
    finally:
        partitions.drop_partitions_before(MONDAY + timedelta(days=7))
    assert weeks() == []


def test_only_partitions_whose_every_day_is_past_are_dropped(weeks_made: None) -> None:
    dropped = partitions.drop_partitions_before(MONDAY + timedelta(days=13))

    assert dropped == ["messaging_delivery_20240226"]
    assert len(weeks()) == 2


def test_nobody_waits_while_a_week_is_made_and_another_one_goes_although_it_is_being_read(weeks_made: None) -> None:
    with reader(), ThreadPoolExecutor(1) as pool:
        dropping = pool.submit(in_thread, lambda: partitions.drop_partitions_before(MONDAY + timedelta(days=7)))
        partitions.ensure_partition(MONDAY + timedelta(weeks=3))
        with connection.cursor() as cursor:
            wait_until(lambda: waits_for_reader(cursor), 10, "the housekeeping to wait for the reader")
            cursor.execute("SET lock_timeout = '100ms'")
            cursor.execute(WRITE, [MONDAY + timedelta(days=7)])
            cursor.execute("SELECT count(*) FROM messaging_delivery")
            cursor.execute("RESET lock_timeout")

        assert dropping.result() == []
    assert len(weeks()) == 4


def test_a_week_that_was_being_read_goes_the_next_time(weeks_made: None) -> None:
    with reader():
        assert partitions.drop_partitions_before(MONDAY + timedelta(days=7)) == []

    assert partitions.drop_partitions_before(MONDAY + timedelta(days=7)) == ["messaging_delivery_20240226"]
    assert weeks() == ["messaging_delivery_20240304", "messaging_delivery_20240311"]


def test_a_week_that_was_detached_and_not_dropped_goes_the_next_time(weeks_made: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE messaging_delivery DETACH PARTITION messaging_delivery_20240226")

    assert partitions.drop_partitions_before(MONDAY + timedelta(days=7)) == ["messaging_delivery_20240226"]


def test_a_partition_has_the_indexes_of_the_table(weeks_made: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM pg_index WHERE indrelid = 'messaging_delivery'::regclass),"
            " (SELECT count(*) FROM pg_index WHERE indrelid = 'messaging_delivery_20240226'::regclass)"
        )
        of_table, of_partition = cursor.fetchone()

    assert of_partition == of_table > 1


@pytest.fixture
def weeks_made(transactional_db: None) -> Iterator[None]:
    """Three of them."""
    for week in range(3):
        partitions.ensure_partition(MONDAY + timedelta(weeks=week))
    yield
    partitions.drop_partitions_before(MONDAY + timedelta(weeks=5))


@contextlib.contextmanager
def reader() -> Iterator[None]:
    """Somebody who has read deliveries in a transaction that is still open, as a backup does for hours."""
    with psycopg.connect(**database.connection_parameters()) as other:
        other.execute("SELECT count(*) FROM messaging_delivery")
        yield


def waits_for_reader(cursor: Any) -> bool:
    """Whether the other thread's statement waits."""
    cursor.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%CONCURRENTLY%%'"
        " AND datname = current_database()"
    )
    return bool(cursor.fetchone()[0])
