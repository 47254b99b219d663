"""When a repeated message fires next. Pure arithmetic on absolute intervals: no drift, no daylight saving."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Firing:
    """One firing of a series: `n` counts from 1, `due_at = first + (n - 1) * every`."""

    n: int
    due_at: datetime


def firing_after(*, first: datetime, every: timedelta, expires: datetime | None, after: datetime) -> Firing | None:
    """The first firing of the series later than `after`; None when the series has ended by then.

    Firings that were missed meanwhile are passed over (reliability.md P8): the number tells how many.
    """
    n = max(0, (after - first) // every + 1)
    due_at = first + n * every
    if expires is not None and due_at >= expires:
        return None
    return Firing(n=n + 1, due_at=due_at)
