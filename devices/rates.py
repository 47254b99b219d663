"""How often something may happen: "20/s burst 100", counted per address in the memory of this process."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

_TEXT = re.compile(r"(?P<number>[0-9]{1,9})/(?P<unit>s|min|h)(?: burst (?P<burst>[0-9]{1,9}))?")
_SECONDS = {"s": 1, "min": 60, "h": 3600}
#: addresses remembered for each limit: 5 MB; beyond them those seen longest ago are forgotten
MOST_ADDRESSES = 50_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in a time, after so many at once."""

    per_s: float
    burst: int
    text: str  #: as it was set, for messages

    def share(self, parts: int) -> Rate:
        """What one of several processes may let through."""
        return Rate(self.per_s / parts, max(1, self.burst // parts), self.text)


def parse_rate(text: str) -> Rate | None:
    """`20/s`, `30/min burst 60`, `100/h`; None for `0`, which means no limit. Raises ValueError."""
    if text == "0":
        return None
    found = _TEXT.fullmatch(text)
    if found is None or not int(found["number"]) or found["burst"] == "0":
        raise ValueError(text)
    number = int(found["number"])
    return Rate(number / _SECONDS[found["unit"]], int(found["burst"] or number), text)


class Buckets:
    """A token bucket for each key, kept as the one moment at which it will be full again (GCRA, ITU-T I.371).

    Keys are kept in two generations, the older one dropped when the newer is full: bounded, without a list to keep in
    order. Threads may count one moment twice; a lock would cost more than the call too many that this lets through.
    """

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic, most: int = MOST_ADDRESSES) -> None:
        self.rate = rate
        self._interval_s = 1 / rate.per_s
        self._room_s = (rate.burst - 1) * self._interval_s
        self._clock = clock
        self._most = most // 2
        self._full_at: dict[str, float] = {}
        self._older: dict[str, float] = {}

    def take(self, key: str) -> float:
        """Take one token: 0.0, or the seconds to wait where there is none."""
        now = self._clock()
        full_at = max(self._find(key), now)
        wait_s = full_at - now - self._room_s
        self._full_at[key] = full_at if wait_s > 0 else full_at + self._interval_s
        self._age()
        return max(wait_s, 0.0)

    def spend(self, key: str, count: int) -> None:
        """Take that many, owing what is not there."""
        self._full_at[key] = max(self._find(key), self._clock()) + count * self._interval_s
        self._age()

    def debt_s(self, key: str) -> float:
        """Seconds until nothing is owed."""
        return max(self._find(key) - self._clock() - self._room_s - self._interval_s, 0.0)

    def wait_s(self, key: str) -> float:
        """Seconds until there is a token; nothing is taken."""
        return max(self._find(key) - self._clock() - self._room_s, 0.0)

    def _age(self) -> None:
        if len(self._full_at) >= self._most:
            self._full_at, self._older = {}, self._full_at

    def _find(self, key: str) -> float:
        full_at = self._full_at.get(key)
        return self._older.get(key, 0.0) if full_at is None else full_at
