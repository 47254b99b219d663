"""When a repeated message fires: every so many seconds, or by the wall clock of a zone. Pure.

Intervals are absolute: no drift, no daylight saving. Wall-clock times follow Debian's cron as cronsim does: a time
that a zone skips in spring fires at the first valid minute after the gap, one that comes twice in autumn fires once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

#: missed firings that are recorded one by one; of more, the newest so many
MOST_RECORDED = 10_000
_CRON_FIELDS = 5
_NO_SCHEDULE = "{!r} is no schedule: five fields, minute hour day month weekday."


class InvalidWallClock(ValueError):
    """The cron expression or the zone cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Firing:
    """One firing of a series; `n` counts from 1."""

    n: int
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A repeated message: either `every` or `cron` is given."""

    first: datetime
    every: timedelta | None = None
    cron: str = ""  #: minute hour day month weekday
    zone: str = "UTC"  #: IANA name
    expires: datetime | None = None  #: no firing at or after it

    def after(self, firing: Firing) -> Firing | None:
        """The firing that follows; None when the series has ended."""
        if self.every is not None:
            due_at = self.first + firing.n * self.every
        else:
            due_at = next(_wall_clock(self.cron, self.zone, firing.due_at))
        if self.expires is not None and due_at >= self.expires:
            return None
        return Firing(firing.n + 1, due_at)

    def missed(self, firing: Firing, now: datetime) -> list[Firing]:
        """The firings from `firing` on that are due by `now`, oldest first; the last one is the newest."""
        firing = self._skip_ahead(firing, now)
        due = [firing]
        while (following := self.after(due[-1])) is not None and following.due_at <= now:
            due.append(following)
        return due[-MOST_RECORDED:]

    def _skip_ahead(self, firing: Firing, now: datetime) -> Firing:
        """A machine that was off for a year owes 31 million firings of a message repeated each second."""
        if self.every is None:
            return firing
        limit = now if self.expires is None else min(now, self.expires)
        newest = max(firing.n, (limit - self.first) // self.every + 1)
        n = max(firing.n, newest - MOST_RECORDED)
        return Firing(n, self.first + (n - 1) * self.every)


def check_wall_clock(cron: str, zone: str) -> None:
    """Raises InvalidWallClock."""
    if len(cron.split()) != _CRON_FIELDS:  # cronsim reads a sixth as seconds
        raise InvalidWallClock(_NO_SCHEDULE.format(cron))
    try:
        next(_wall_clock(cron, zone, datetime.now(UTC)))
    except StopIteration as error:
        raise InvalidWallClock("That day never comes.") from error


def upcoming(series: Series, count: int) -> list[datetime]:
    """The first firings of a series, for people to check before they save it."""

    def firings() -> Iterator[datetime]:
        firing: Firing | None = Firing(1, series.first)
        while firing is not None:
            yield firing.due_at
            firing = series.after(firing)

    return list(islice(firings(), count))


def first_wall_clock_time(cron: str, zone: str, after: datetime) -> datetime:
    """The first time after `after`, in UTC. Raises InvalidWallClock."""
    return next(_wall_clock(cron, zone, after))


def _wall_clock(cron: str, zone: str, after: datetime) -> Iterator[datetime]:
    try:
        times = CronSim(cron, after.astimezone(ZoneInfo(zone)))
    except CronSimError as error:
        raise InvalidWallClock(_NO_SCHEDULE.format(cron)) from error
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidWallClock(f"{zone!r} is no time zone.") from error
    return (moment.astimezone(UTC) for moment in times)
