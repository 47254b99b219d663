"""Deliveries are kept in tables of a week each, made ahead and dropped whole."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import connection

from messaging import partitions
from tests.messaging.stage import in_threads

MONDAY = date(2024, 2, 26)


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


def test_only_partitions_whose_every_day_is_past_are_dropped(db: None) -> None:
    for week in range(3):
        partitions.ensure_partition(MONDAY + timedelta(weeks=week))

    dropped = partitions.drop_partitions_before(MONDAY + timedelta(days=13))

    assert dropped == ["messaging_delivery_20240226"]
    assert len(weeks()) == 2
