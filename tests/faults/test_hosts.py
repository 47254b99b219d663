"""Two hosts on one PostgreSQL; one vanishes with all its processes, and its connections are never closed.

PostgreSQL learns nothing of it: no FIN arrives, so the sessions of the dead host stay open as they were.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection

from messaging.models import Batch, Occurrence
from messaging.senders import SIMULATOR_FILE
from tests.faults.clarion import Process, duplicates, is_closed, kill_all, sender
from tests.faults.fault_proxy import FaultProxy, fault_proxy
from tests.messaging.processes import report
from tests.messaging.stage import Stage, check_books, tokens, wait_until

pytestmark = pytest.mark.fault

_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Host:
    """A machine's processes and its way to the database."""

    processes: list[Process]
    database: FaultProxy

    def vanish(self) -> None:
        """The power goes: nobody says farewell."""
        self.database.hold()
        kill_all(self.processes)


@contextlib.contextmanager
def host(folder: Path) -> Iterator[Host]:
    """A ticker and a worker group with a data folder of their own, set up as README says."""
    folder.mkdir()
    for name in ("keys.json", SIMULATOR_FILE):
        if (settings.DATA_DIR / name).exists():
            shutil.copy(settings.DATA_DIR / name, folder)
    server = connection.settings_dict
    with fault_proxy(f"{server['HOST']}/.s.PGSQL.{server['PORT']}") as proxy:
        url = f"postgresql://{quote(server['USER'])}@127.0.0.1:{proxy.port}/{server['NAME']}"
        environment = {"DATABASE_URL": url, "CLARION_DATA_DIR": str(folder)}
        with sender(workers=_WORKERS, environment=environment) as (groups, tickers):
            yield Host([*groups, *tickers], proxy)


#: sessions with batches locked: between two statements, and while outcomes are on their way
_IN_TRANSACTION = "a.state = 'idle in transaction'"
_IN_COPY = "a.state = 'active' AND a.wait_event = 'ClientRead' AND a.query LIKE 'COPY %'"


def vanish_while(vanishing: Host, condition: str) -> None:
    """The host vanishes when one of its sessions is held back in such a moment, with batches locked."""
    while True:
        vanishing.database.hold()
        time.sleep(0.2)  # what PostgreSQL has been asked already, it answers
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*) FROM pg_stat_activity a JOIN pg_locks l USING (pid) WHERE {condition} "
                "AND a.pid <> pg_backend_pid() AND l.relation = 'messaging_batch'::regclass "
                "AND l.mode = 'RowExclusiveLock'"
            )
            (found,) = cursor.fetchone()
        if found:
            return vanishing.vanish()
        vanishing.database.let_go()
        time.sleep(0.05)


def under_way(stage: Stage) -> Occurrence:
    """A campaign that both hosts are sending."""
    occurrence = stage.publish("ANDROID", "IOS")
    wait_until(lambda: len(stage.requests_by_token()) > 2_000, 60, "2,000 requests")
    wait_until(lambda: _groups_at_work() == 2, 30, "both hosts to take part")
    return occurrence


def _groups_at_work() -> int:
    owners = Batch.objects.filter(state="sending").values_list("owner", flat=True)
    return len({owner.rsplit("/", 2)[0] for owner in owners})


def test_a_host_that_vanishes_is_taken_over_by_the_other(stage: Stage, tmp_path: Path) -> None:
    devices = [*stage.devices(4_000), *stage.devices(4_000, "IOS")]
    stage.simulators.set_mode("*", latency_ms=200)
    with host(tmp_path / "a") as vanishing, host(tmp_path / "b"):
        occurrence = under_way(stage)
        vanishing.vanish()
        took = wait_until(lambda: is_closed(occurrence), 120, "the campaign to end")

    report(f"a host vanished: ended {took:.1f} s later, {duplicates(stage)} duplicates")
    assert took <= 60
    assert check_books(occurrence).accepted == len(devices)
    assert stage.reached() == tokens(devices)
    assert duplicates(stage) <= 300 * _WORKERS


@pytest.mark.parametrize("condition", [_IN_TRANSACTION, _IN_COPY], ids=["transaction", "copy"])
def test_a_host_that_vanishes_in_the_middle_of_a_write_holds_no_batch(
    stage: Stage, tmp_path: Path, condition: str
) -> None:
    devices = [*stage.devices(6_000), *stage.devices(6_000, "IOS")]
    stage.simulators.set_mode("*", latency_ms=200)
    with host(tmp_path / "a") as vanishing, host(tmp_path / "b"):
        occurrence = under_way(stage)
        vanish_while(vanishing, condition)
        took = wait_until(lambda: is_closed(occurrence), 120, "the campaign to end")

    report(f"a host vanished in mid-write: ended {took:.1f} s later, {duplicates(stage)} duplicates")
    assert took <= 60
    assert check_books(occurrence).accepted == len(devices)
    assert stage.reached() == tokens(devices)
    assert duplicates(stage) <= 300 * _WORKERS
