"""Rates as they are written, and the buckets that count by them."""

from __future__ import annotations

import random
import sys

import pytest

from devices.rates import Buckets, Rate, parse_rate


@pytest.mark.parametrize(
    ("text", "per_s", "burst"),
    [("20/s burst 100", 20, 100), ("30/min", 0.5, 30), ("36/h burst 5", 0.01, 5), ("1/s", 1, 1)],
)
def test_a_rate_is_a_number_a_unit_and_a_burst(text: str, per_s: float, burst: int) -> None:
    assert parse_rate(text) == Rate(per_s, burst, text)


def test_nought_is_no_limit() -> None:
    assert parse_rate("0") is None


@pytest.mark.parametrize("text", ["", "20", "0/s", "20/s burst 0", "-1/s", "20/day", "20/s, burst 100", "1e3/s", "٣/s"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_rate(text)


def test_never_more_passes_than_the_burst_and_the_rate() -> None:
    now, passed, chance = 0.0, 0, random.Random(7)  # noqa: S311  # not for secrets
    buckets = Buckets(Rate(20.0, 100, ""), lambda: now)

    for _ in range(20_000):
        now += chance.expovariate(100.0)
        passed += buckets.take("a") == 0.0

    assert 100 + 20 * now - 2 <= passed <= 100 + 20 * now + 1


def test_the_wait_named_is_long_enough_and_not_too_long() -> None:
    now = 5.0
    buckets = Buckets(Rate(0.5, 3, ""), lambda: now)
    for _ in range(3):
        assert buckets.take("a") == 0.0
    wait_s = buckets.take("a")

    assert buckets.wait_s("a") == wait_s == 2.0
    now += wait_s - 0.001
    assert buckets.take("a") > 0
    now += 0.001
    assert buckets.take("a") == 0.0


def test_a_million_addresses_are_forgotten_but_for_the_last() -> None:
    buckets = Buckets(Rate(0.001, 1, ""), lambda: 0.0, most=1000)
    for number in range(1_000_000):
        buckets.take(f"{number}")

    remembered = [name for name in vars(buckets).values() if isinstance(name, dict)]
    assert sum(len(keys) for keys in remembered) <= 1000
    assert sum(sys.getsizeof(keys) for keys in remembered) < 200_000
    assert buckets.take("999999") > 0
    assert buckets.take("0") == 0.0


def test_an_address_that_goes_on_is_not_forgotten_for_new_ones() -> None:
    buckets = Buckets(Rate(0.001, 1, ""), lambda: 0.0, most=1000)
    buckets.take("busy")
    for number in range(10_000):
        buckets.take(f"{number}")
        assert buckets.take("busy") > 0
