"""A thread that ends takes its database connection with it, whether or not it closed it."""

from __future__ import annotations

import gc
import threading
import time

import pytest
from django.db import connection


def _is_there(session: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [session])
        return bool(cursor.fetchone() != (0,))


@pytest.mark.django_db(transaction=True)
def test_the_connection_of_a_thread_ends_with_it() -> None:
    sessions: list[int] = []

    def ask() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            sessions.append(cursor.fetchone()[0])

    gc.disable()  # which would come sooner or later
    try:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        give_up_at = time.monotonic() + 5
        while _is_there(sessions[0]):
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
    finally:
        gc.enable()
