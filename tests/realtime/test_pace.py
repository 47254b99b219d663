"""A pace: so many at once, then so many a second."""

from __future__ import annotations

from itertools import count

from messaging.realtime.pace import Pace


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def allowed_at_once(pace: Pace) -> int:
    return next(number for number in count() if not pace.allows_one_more())


def test_so_many_are_allowed_at_once_and_then_so_many_a_second() -> None:
    clock = Clock()
    pace = Pace(a_second=20, at_once=50, clock=clock)

    assert allowed_at_once(pace) == 50
    clock.now += 1
    assert allowed_at_once(pace) == 20
    clock.now += 0.125
    assert allowed_at_once(pace) == 2


def test_waiting_longer_than_it_takes_to_recover_earns_nothing() -> None:
    clock = Clock()
    pace = Pace(a_second=20, at_once=50, clock=clock)

    clock.now += 3_600

    assert allowed_at_once(pace) == 50
