"""The disk of PostgreSQL fills up while a campaign is sent, and is freed again (reliability.md F-09).

Needs a file system that can be filled: a tmpfs, which only root may mount.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from console import postgres
from tests.console.test_up import clarion, publish, requests
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


@dataclass(slots=True)
class Caller:
    """Publishes a message to nobody five times a second, and remembers the answers."""

    data_dir: Path
    port: int
    answers: Counter[int] = field(default_factory=Counter)
    accepted: set[str] = field(default_factory=set)
    _should_end: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def calling(self) -> Iterator[Caller]:
        """Call until the block is left."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._should_end.set()
            thread.join()

    def _run(self) -> None:
        keys = json.loads((self.data_dir / "demo.json").read_text())
        url = f"http://127.0.0.1:{self.port}/{keys['application_id']}/{keys['rest_key']}/messaging/nobody"
        while not self._should_end.wait(0.2):
            self._call(url)

    def _call(self, url: str) -> None:
        body = json.dumps({"message": "Hi", "headers": {"android-content-text": "Hi"}}).encode()
        request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                self.accepted.add(json.load(answer)["messageId"])
                self.answers[200] += 1
        except urllib.error.HTTPError as error:
            self.answers[error.code] += 1
            error.close()


def rows(data_dir: Path, query: str) -> list[tuple[Any, ...]]:
    """What the database says; nothing while it is away."""
    address = postgres.running(data_dir)
    if address is None:
        return []
    try:
        with psycopg.connect(address.url) as connection:
            return connection.execute(query).fetchall()
    except psycopg.OperationalError:
        return []


def test_a_full_disk_refuses_what_it_cannot_keep_and_sending_goes_on_when_it_is_freed(small_disk: Path) -> None:
    with clarion(small_disk) as (_, port), Caller(small_disk, port).calling() as caller:
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
        ended = "SELECT count(*) FROM messaging_occurrence WHERE closed_at IS NULL HAVING count(*) = 0"
        wait_until(lambda: bool(rows(small_disk, ended)), 120, "every campaign to end")
        took = time.monotonic() - freed
        stored = {f"message:{row[0]}" for row in rows(small_disk, "SELECT message_id FROM messaging_message")}
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
    assert {message.lower() for message in caller.accepted} <= stored
    assert broken == [(0, 0)]
    assert ledger[0] == ledger[1]
    assert took <= 60
    assert doubled <= 600


#: messages without a firing, and firings whose counts are not those of their written deliveries
_HALF_WRITTEN = """
SELECT (SELECT count(*) FROM messaging_message m
        WHERE NOT EXISTS (SELECT 1 FROM messaging_occurrence o WHERE o.message_id = m.id)),
       (SELECT count(*) FROM messaging_batch b WHERE b.accepted + b.failed + b.skipped <> (
            SELECT count(*) FROM messaging_delivery d
            WHERE d.occurrence_id = b.occurrence_id AND d.registration_id = ANY(b.registration_ids)))
"""
_LEDGER = "SELECT (SELECT sum(targeted) FROM messaging_batch), (SELECT count(*) FROM messaging_delivery)"
