"""When a series fires: absolute intervals, so nothing drifts and no clock change matters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from messaging.schedule import Firing, InvalidWallClock, Series, check_wall_clock, upcoming

FIRST = datetime(2030, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=10)
FIRING = Firing(1, FIRST)


def test_firings_fall_on_exact_multiples_of_the_interval() -> None:
    series = Series(first=FIRST, every=EVERY)

    assert upcoming(series, 4) == [FIRST + n * EVERY for n in range(4)]
    assert series.after(Firing(1_000_000, FIRST)) == Firing(1_000_001, FIRST + 1_000_000 * EVERY)


def test_nothing_fires_at_or_after_the_end() -> None:
    series = Series(first=FIRST, every=EVERY, expires=FIRST + 2 * EVERY)

    assert upcoming(series, 5) == [FIRST, FIRST + EVERY]
    assert series.after(Firing(2, FIRST + EVERY)) is None


def test_every_firing_that_is_due_is_named_with_the_newest_last() -> None:
    series = Series(first=FIRST, every=EVERY)

    assert [firing.n for firing in series.missed(FIRING, FIRST + 3.5 * EVERY)] == [1, 2, 3, 4]
    assert series.missed(FIRING, FIRST) == [FIRING]


def test_a_machine_that_was_off_for_a_year_names_the_newest_ten_thousand() -> None:
    series = Series(first=FIRST, every=timedelta(seconds=1))

    missed = series.missed(FIRING, FIRST + timedelta(days=365))

    assert len(missed) <= 10_001
    assert missed[-1] == Firing(365 * 86_400 + 1, FIRST + timedelta(days=365))


def test_a_daily_time_keeps_its_hour_when_the_clocks_change() -> None:
    before = datetime(2030, 3, 30, 8, 0, tzinfo=UTC)  # 09:00 in Berlin; clocks change on the 31st
    series = Series(first=before, cron="0 9 * * *", zone="Europe/Berlin")

    assert upcoming(series, 2) == [before, datetime(2030, 3, 31, 7, 0, tzinfo=UTC)]


@pytest.mark.parametrize("cron", ["* * * * * *", "0 9 * * * * 2027", "0 9 * *", "60 * * * *", "0 0 31 4 *", ""])
def test_what_is_no_cron_expression_of_five_fields_that_ever_comes_is_refused(cron: str) -> None:
    with pytest.raises(InvalidWallClock, match="five fields"):
        check_wall_clock(cron, "Europe/Berlin")


@pytest.mark.parametrize("cron", ["0 9 * * 1-5", "*/7 * * * *", "0 0 L * *", "0 0 * * FRI#3"])
def test_what_cron_understands_is_taken(cron: str) -> None:
    check_wall_clock(cron, "Europe/Berlin")
