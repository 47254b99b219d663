"""Database sessions of processes that vanish with their host end by themselves: test_hosts.py shows it."""

from __future__ import annotations

import pytest
from django.db import connection


@pytest.mark.django_db
def test_postgresql_gives_up_on_a_vanished_process_before_its_lease_has_lapsed() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setting::int FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout' AND unit = 'ms'"
        )
        (milliseconds,) = cursor.fetchone()

    assert 0 < milliseconds < 30_000
