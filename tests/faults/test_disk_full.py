"""The disk of PostgreSQL fills up while a campaign is sent, and is freed again (reliability.md F-09).

Needs a file system that can be filled: a tmpfs, which only root may mount.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.test_up import clarion, publish, requests
from tests.faults.caller import ALL_ENDED, Caller, rows, stored_messages
from tests.messaging.processes import report
from tests.messaging.stage import wait_until

pytestmark = pytest.mark.fault

_SIZE = "320m"
_FULL_FOR_S = 15.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A data directory whose cluster, made by a first start, lies on a small file system of its own."""
    cluster, made = tmp_path / "postgres", tmp_path / "made"
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system that can be filled")
    with clarion(tmp_path):
        pass
    cluster.rename(made)
    cluster.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(cluster)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        subprocess.run(["cp", "-a", f"{made}/.", str(cluster)], check=True)
        shutil.rmtree(made)
        yield tmp_path
    finally:
        subprocess.run(["umount", "--lazy", str(cluster)], check=True)


def fill(disk: Path) -> Path:
    """A file that leaves no byte free."""
    filler = disk / "filler"
    chunk = b"\0" * 65_536
    with filler.open("wb", buffering=0) as file:
        while chunk:
            try:
                file.write(chunk)
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017  # anything else is the test's own fault
                chunk = chunk[: len(chunk) // 2]
    return filler


def test_a_full_disk_refuses_what_it_cannot_keep_and_sending_goes_on_when_it_is_freed(small_disk: Path) -> None:
    with clarion(small_disk) as (_, port):
        caller = Caller(small_disk, port)
        with caller.calling():
            publish(small_disk, port)
            wait_until(lambda: len(requests(small_disk)) > 1_000, 60, "1,000 pushes")
            filler = fill(small_disk / "postgres")
            before = caller.answers.copy()
            time.sleep(_FULL_FOR_S)
            while_full = caller.answers - before
            filler.unlink()
            freed = time.monotonic()
            wait_until(lambda: caller.answers[200] > before[200] + while_full[200] + 3, 60, "publishing to work again")
            answers_again = time.monotonic() - freed
        wait_until(lambda: bool(rows(small_disk, ALL_ENDED)), 120, "every campaign to end")
        took = time.monotonic() - freed
        stored = stored_messages(small_disk)
        broken = rows(small_disk, _HALF_WRITTEN)
        (ledger,) = rows(small_disk, _LEDGER)

    doubled = requests(small_disk).total() - len(requests(small_disk))
    panics = (small_disk / "postgres" / "server.log").read_text(errors="replace").count("PANIC")
    report(
        f"disk full for {_FULL_FOR_S:.0f} s ({panics} panics of PostgreSQL): answers {dict(while_full)} meanwhile, "
        f"200 again after {answers_again:.1f} s, campaigns ended after {took:.1f} s, {doubled} duplicates, "
        f"ledger {ledger}"
    )
    assert while_full[503] > 0
    assert set(caller.answers) <= {200, 503}
    assert caller.accepted <= stored
    assert broken == [(0, 0)]
    assert ledger[0] == ledger[1]
    assert took <= 60
    assert doubled == 0


#: messages without a firing, and firings whose counts are not those of their written deliveries
_HALF_WRITTEN = """
SELECT (SELECT count(*) FROM messaging_message m
        WHERE NOT EXISTS (SELECT 1 FROM messaging_occurrence o WHERE o.message_id = m.id)),
       (SELECT count(*) FROM messaging_batch b WHERE b.accepted + b.failed + b.skipped <> (
            SELECT count(*) FROM messaging_delivery d
            WHERE d.occurrence_id = b.occurrence_id AND d.registration_id = ANY(b.registration_ids)))
"""
_LEDGER = "SELECT (SELECT sum(targeted) FROM messaging_batch), (SELECT count(*) FROM messaging_delivery)"
