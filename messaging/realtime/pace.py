"""How often something may be done: so many at once, and so many a second (a token bucket)."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Counts what one peer does."""

    def __init__(self, *, a_second: float, at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._a_second = a_second
        self._at_once = self._left = float(at_once)
        self._clock = clock
        self._counted_at = clock()

    def allows_one_more(self) -> bool:
        """Whether it may be done now; it then counts."""
        now = self._clock()
        self._left = min(self._at_once, self._left + (now - self._counted_at) * self._a_second)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
