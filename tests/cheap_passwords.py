"""The hasher of passwords for tests that are about something else."""

from __future__ import annotations

from devices.password_hashing import BoundedArgon2


class CheapArgon2(BoundedArgon2):
    """The same algorithm behind the same gate, at 8 KiB and one pass: the least that Argon2 allows."""

    time_cost, memory_cost, parallelism = 1, 8, 1
