"""Who holds batches: one drain of one process of one worker group; and taking from the dead what they held.

Only a group's own watchdog calls anybody dead: it shares host and process ids with its workers. Whoever is called dead
by mistake is fenced by the attempt number of its batches, as after any lapsed lease.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection

from django.db import connection

#: never reused in a process: leases that a failed drain left behind must lapse, not be extended by the next
_numbers = itertools.count(1)


def new_owner(group: str) -> str:
    """The name of a new drain of this process."""
    return f"{group}/{os.getpid()}/{next(_numbers)}"


def lapse_leases_of_group(group: str) -> None:
    """Let everything be taken over that the group holds: all its processes have been killed."""
    _lapse(_holders(group))


def lapse_leases_of_dead(group: str) -> None:
    """Let be taken over what processes of the group hold that are no more. A reused process id only costs the wait."""
    _lapse([owner for owner in _holders(group) if not _is_running(int(owner.split("/")[-2]))])


def are_working(group: str) -> bool:
    """Whether a living process of the group holds anything."""
    return any(_is_running(int(owner.split("/")[-2])) for owner in _holders(group))


def _holders(group: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT owner FROM messaging_batch WHERE state = 'sending' AND starts_with(owner, %s)",
            [f"{group}/"],
        )
        return [owner for (owner,) in cursor.fetchall()]


def _lapse(owners: Collection[str]) -> None:
    if not owners:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_batch SET state = 'waiting', lease_until = NULL "
            "WHERE owner = ANY(%s) AND state = 'sending'",
            [list(owners)],
        )


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # the number is another user's by now
    return True
