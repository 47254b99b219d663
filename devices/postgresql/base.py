"""CONN_HEALTH_CHECKS without a round trip, and prepared statements for whoever asks for them by a cursor of psycopg.

A server that went away has closed the socket, and that is seen from here. Asking `SELECT 1` at the beginning of every
request costs 0.1 to 0.2 of the 0.9 CPU-s that 1,000 registrations take.
"""

from __future__ import annotations

import os
import select
import threading
import time
from typing import Any

import psycopg
from django.db.backends.postgresql import base

#: a connection that has not been asked for so long is asked again: a firewall may have forgotten it silently
_TRUSTED_S = 5.0

_of_thread = threading.local()


class _Ending:
    """Closes a connection with its thread: Django's wrapper, a circle, would hold it until some garbage collection."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self._process = os.getpid()

    def __del__(self) -> None:
        if os.getpid() == self._process:  # a child has a copy of what its parent goes on using
            self.connection.close()


class DatabaseWrapper(base.DatabaseWrapper):
    """What ENGINE = "devices.postgresql" names."""

    _asked_at = float("-inf")

    def get_connection_params(self) -> dict[str, Any]:
        """Django's, which never lets psycopg prepare: its own cursors do not in either case."""
        params: dict[str, Any] = super().get_connection_params()
        params["prepare_threshold"] = self.settings_dict["OPTIONS"].get("prepare_threshold", 5)
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection:
        """Django's. granian ends threads that were idle for 30 s: theirs piled up to the server's limit."""
        connection: psycopg.Connection = super().get_new_connection(conn_params)
        others = [ending for ending in getattr(_of_thread, "endings", ()) if not ending.connection.closed]
        _of_thread.endings = [*others, _Ending(connection)]
        return connection

    def is_usable(self) -> bool:
        """Whether the connection works; Django closes it where it does not."""
        now = time.monotonic()
        if self.connection is not None and now - self._asked_at < _TRUSTED_S and _is_quiet(self.connection):
            return True
        self._asked_at = now
        return bool(super().is_usable())


def _is_quiet(connection: psycopg.Connection) -> bool:
    """Nothing waits to be read: neither the end of the connection nor the server's word that it is shutting down."""
    try:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        return not poll.poll(0)
    except (psycopg.Error, OSError):
        return False
