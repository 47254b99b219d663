"""Sessions of the database that hang: of processes that vanished with their host, of a server that answers nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from urllib.parse import quote

import pytest
from django.db import connection

from tests.faults.fault_proxy import FaultProxy, fault_proxy
from tests.messaging.stage import Stage, process_environment, wait_until

_DRAIN = """
import django; django.setup()
from messaging import jobs
jobs._HANGS_AFTER_S = 2
jobs.drain()
"""


@pytest.mark.django_db
def test_postgresql_gives_up_on_a_vanished_process_before_its_lease_has_lapsed() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setting::int FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout' AND unit = 'ms'"
        )
        (milliseconds,) = cursor.fetchone()

    assert 0 < milliseconds < 30_000


def draining(database: FaultProxy) -> subprocess.Popen[bytes]:
    """A process that drains through the proxy, and would not wait minutes for an answer."""
    server = connection.settings_dict
    url = f"postgresql://{quote(server['USER'])}@127.0.0.1:{database.port}/{server['NAME']}"
    environment = {**process_environment(), "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "console.settings"}
    return subprocess.Popen([sys.executable, "-c", _DRAIN], env={**os.environ, **environment})


def test_a_drain_that_waits_for_the_database_for_ever_is_ended_by_the_kernel(stage: Stage) -> None:
    stage.devices(500)
    stage.simulators.set_mode("*", latency_ms=200)
    stage.start("ANDROID")
    server = connection.settings_dict
    with fault_proxy(f"{server['HOST']}/.s.PGSQL.{server['PORT']}") as database, draining(database) as drain:
        wait_until(lambda: len(stage.requests()) > 0, 30, "the first request")
        database.hold()

        try:
            assert drain.wait(30) == -signal.SIGALRM
        finally:
            drain.kill()
