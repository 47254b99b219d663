"""Ports for processes that tests start: below the ephemeral range, and for each test process a stretch of its own.

A port that was free a moment ago may be an outgoing connection's or another test's by the time its process listens.
"""

from __future__ import annotations

import errno
import itertools
import os
import secrets
import socket

_FIRST, _STRETCH, _STRETCHES = 10_000, 2_000, 5  # the simulators take theirs from 20,000 on
_turns = itertools.count(secrets.randbelow(_STRETCH))  # other sessions on this machine begin elsewhere


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now, each given once; next to each other where nobody sits in between."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _STRETCHES
    ports = (_FIRST + number * _STRETCH + turn % _STRETCH for turn in _turns)
    return list(itertools.islice(filter(_is_free, ports), count))


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as err:
        if err.errno != errno.EADDRINUSE:
            raise
        return False
    return True
