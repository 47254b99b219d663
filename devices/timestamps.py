"""Wire time to aware UTC datetimes and back: the only place that knows milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

#: below this a number is taken as seconds: the JS SDK sends a Date as seconds with a fraction (contract.md 3)
_SECONDS_BELOW = 10**11
#: the end of year 9999 in milliseconds: PostgreSQL stores later dates, psycopg cannot read them back (reliability.md 0)
_LATEST_MS = 253_402_300_799_999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_wire(value: object) -> datetime:
    """A wire timestamp (milliseconds, seconds below 10^11, or ISO 8601 with zone) as aware UTC. Raises ValueError."""
    if isinstance(value, bool):
        raise ValueError("a timestamp is a number of milliseconds, not true or false")
    if isinstance(value, int | float):
        return _from_number(value)
    if isinstance(value, str):
        return _from_text(value)
    raise ValueError("a timestamp is a number of milliseconds since 1970-01-01 UTC")


def _from_number(value: float) -> datetime:
    milliseconds = value * 1000 if abs(value) < _SECONDS_BELOW else value
    if not 0 < milliseconds <= _LATEST_MS:
        raise ValueError("the timestamp lies outside the years 1970 to 9999")
    return _EPOCH + timedelta(milliseconds=round(milliseconds))


def _from_text(value: str) -> datetime:
    if value.isascii() and value.isdigit() and len(value) <= 15:
        return _from_number(int(value))
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError("the timestamp is neither a number of milliseconds nor a date of ISO 8601") from error
    if parsed.tzinfo is None:
        raise ValueError("the timestamp names no time zone")
    try:
        return parsed.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the timestamp lies outside the years 1 to 9999") from error


def to_wire(moment: datetime) -> int:
    """Milliseconds since 1970-01-01 UTC."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)
