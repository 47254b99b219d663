"""Argon2 within bounds: few hashes at a time in a process, few callers waiting, nobody else held up.

One hash takes 100 MiB and up to 0.1 s of CPU. A hundred at once would take the machine's memory, and every thread of
the web process; who comes while two are computed and two wait is asked to try again.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from django.contrib.auth.hashers import Argon2PasswordHasher

from devices.errors import TooManyRequests

AT_A_TIME = 2
WAITING = 2
WAIT_S = 2.0
_BUSY = "Too many logins at this moment. Try again in 1 s."


class Gate:
    """Lets a few in, has a few wait for a while, turns the others away."""

    def __init__(self, at_a_time: int, waiting: int) -> None:
        self._places = threading.BoundedSemaphore(at_a_time)
        self._present = threading.BoundedSemaphore(at_a_time + waiting)

    @contextlib.contextmanager
    def entered(self, wait_s: float = WAIT_S) -> Iterator[None]:
        """Hold a place. Raises TooManyRequests (5906)."""
        if not self._present.acquire(blocking=False):
            raise TooManyRequests(_BUSY)
        try:
            if not self._places.acquire(timeout=wait_s):
                raise TooManyRequests(_BUSY)
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._present.release()


_gate = Gate(AT_A_TIME, WAITING)


class BoundedArgon2(Argon2PasswordHasher):
    """Django's hasher behind the process's one gate."""

    def encode(self, password: str, salt: str) -> str:
        """The hash to store. Raises TooManyRequests (5906)."""
        with _gate.entered():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        """Whether it is the password. Raises TooManyRequests (5906)."""
        with _gate.entered():
            return super().verify(password, encoded)
