"""A time as people write it (date, time, zone) turned into an instant; the hours that exist twice or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

#: spellings of UTC and links kept for old programs: nobody lives there
_NOT_PLACES = ("Etc/", "SystemV/", "posix/", "right/", "US/", "Brazil/", "Canada/", "Chile/", "Mexico/")


class SkippedHour(ValueError):
    """The clock is put forward over this time: it does not exist on that day."""

    def __init__(self, zone: str, next_valid: datetime) -> None:
        super().__init__(f"This time does not exist in {zone}: clocks go forward. The next one is {next_valid:%H:%M}.")


class RepeatedHour(ValueError):
    """The clock is put back over this time: it happens twice on that day."""

    def __init__(self, zone: str) -> None:
        super().__init__(f"This time happens twice in {zone}: clocks go back. Choose which one you mean.")


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant as the console shows it: where it was meant, in UTC."""

    local: datetime
    zone: str

    @classmethod
    def of(cls, moment: datetime, zone: str) -> Moment:
        """An instant as the clocks of a zone show it."""
        return cls(moment.astimezone(ZoneInfo(zone)), zone)

    @property
    def utc(self) -> datetime:
        """The same instant in UTC."""
        return self.local.astimezone(UTC)

    def __str__(self) -> str:
        """Formatted here: a template's `date` would turn it to UTC."""
        return f"{self.local:%a} {self.local.day} {self.local:%b %Y, %H:%M:%S} {self.zone}"


@cache
def zone_names() -> tuple[str, ...]:
    """IANA zones to choose from, UTC first."""
    places = (name for name in available_timezones() if "/" in name and not name.startswith(_NOT_PLACES))
    return ("UTC", *sorted(places))


def moment_at(wall: datetime, zone: str, *, which: int | None) -> Moment:
    """The instant of a naive `wall` time in `zone`; `which` (0 first, 1 second) decides a repeated hour.

    Raises SkippedHour, RepeatedHour.
    """
    tz = ZoneInfo(zone)
    first, second = wall.replace(tzinfo=tz, fold=0), wall.replace(tzinfo=tz, fold=1)
    if first.utcoffset() == second.utcoffset():
        return Moment(first, zone)
    back = first.astimezone(UTC).astimezone(tz)
    if back.replace(tzinfo=None) != wall:
        # PEP 495: in a gap fold=0 reads the old offset, so the way through UTC lands after the gap
        raise SkippedHour(zone, back)
    if which is None:
        raise RepeatedHour(zone)
    return Moment(second if which else first, zone)
