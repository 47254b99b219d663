"""Retention drops a week of deliveries while a campaign is sent: how long it takes and whom it makes wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

import pytest
from django.db import connection

from devices.models import Channel
from devices.push_services import PushService
from messaging import database, partitions
from messaging.ledger import ledger_of
from messaging.models import Occurrence
from tests.benchmarks.clarion_processes import (
    application_with_credentials,
    publish_to,
    running_sender,
    send_to_all,
    wait_until,
)
from tests.benchmarks.populations import MOST_DEVICES, populate
from tests.benchmarks.provider_stand_in import StandIn
from tests.benchmarks.report import Report

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_old_deliveries"),
]

_ROWS = 2 * MOST_DEVICES
_DEVICES = MOST_DEVICES // 10
_OLD = date(2024, 2, 26)
_READER_S = 3.0
_LOOK_EVERY_S = 0.02
_TITLE = f"Retention: a week of {_ROWS:,} deliveries goes, and one is made, while {_DEVICES:,} devices are sent to"
_NOTE = f"""Reader: somebody who has read the deliveries in a transaction that stays open for {_READER_S:.0f} s, as
a backup or an export does; a week that is being read is left for the next run. Others waited: longest time any other
connection, senders and pages, stood in the queue of a lock, looked at every {1000 * _LOOK_EVERY_S:.0f} ms. Longest
silence: time without a request at the provider in mid-campaign, to be compared with that beside no housekeeping."""

_FILL = """
INSERT INTO messaging_delivery (fired_on, occurrence_id, registration_id, push_service, outcome, reason, http_status,
                                provider_id, detail, tries, finished_at)
SELECT %s, 0, n, 'fcm', CASE WHEN n %% 100 = 0 THEN 'failed' ELSE 'accepted' END, '', 200,
       'projects/clarion-demo/messages/0:' || n, '', 1, now()
FROM generate_series(1, %s) AS n
"""
_WAITING = """
SELECT coalesce(max(clock_timestamp() - state_change), interval '0'), array_agg(DISTINCT left(query, 60))
FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() AND NOT pid = ANY(%s)
"""


@dataclass(slots=True)
class Watcher:
    """Looks, on a connection of its own, who waits for locks; the one who does the housekeeping may wait."""

    may_wait: list[int]
    longest: timedelta = timedelta(0)
    _is_over: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Until told to end."""
        try:
            with connection.cursor() as cursor:
                while not self._is_over.wait(_LOOK_EVERY_S):
                    cursor.execute(_WAITING, [self.may_wait])
                    self.longest = max(self.longest, cursor.fetchone()[0])
        finally:
            connection.close()

    def end(self) -> None:
        """Stop looking."""
        self._is_over.set()


@pytest.mark.parametrize("with_reader", [False, True], ids=["alone", "with a reader"])
def test_retention_beside_a_campaign(with_reader: bool, provider: StandIn, report: Report) -> None:
    report.describe_database()
    application = application_with_credentials(provider)
    channel = populate(application, "everybody", (PushService.APNS, PushService.FCM), devices=_DEVICES)
    partitions.ensure_partition(_OLD)
    with connection.cursor() as cursor:
        cursor.execute(_FILL, [_OLD, _ROWS])
        cursor.execute("VACUUM ANALYZE messaging_delivery")
        cursor.execute("CHECKPOINT")
    reader = "yes" if with_reader else "no"
    with running_sender(provider):
        send_to_all(channel, timeout_s=60)  # warm, and makes the partition of this week
        for name, work in (("nothing", _nothing), ("drop", _drop), ("make", _make)):
            row = _beside(work, channel, provider, with_reader=with_reader)
            report.add(_TITLE, {"housekeeping": name, "reader": reader} | row, note=_NOTE)
    partitions.drop_partitions_before(_OLD + timedelta(weeks=5))


def _nothing() -> str:
    """What a campaign looks like that nothing disturbs."""
    return ""


def _drop() -> str:
    return "gone" if partitions.drop_partitions_before(_OLD + timedelta(weeks=1)) else "left for the next time"


def _make() -> str:
    partitions.ensure_partition(_OLD + timedelta(weeks=2))
    return "made"


def _beside(work: Callable[[], str], channel: Channel, provider: StandIn, *, with_reader: bool) -> dict[str, str]:
    provider.forget_arrivals()
    reader = threading.Thread(target=_read)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        watcher = Watcher(may_wait=[cursor.fetchone()[0]])
    watching = threading.Thread(target=watcher.look)
    occurrence = publish_to(channel)
    wait_until(lambda: ledger_of(occurrence).accepted > 0, 30)
    watching.start()
    if with_reader:
        reader.start()
        time.sleep(0.2)
    started = time.perf_counter()
    result = work()
    took = time.perf_counter() - started
    wait_until(lambda: Occurrence.objects.exclude(closed_at=None).filter(pk=occurrence.pk).exists(), 120)
    watcher.end()
    watching.join()
    if with_reader:
        reader.join()
    arrivals = sorted(provider.arrivals())
    assert len(arrivals) == _DEVICES
    silence = max(later - earlier for earlier, later in zip(arrivals, arrivals[1:], strict=False))
    return {
        "result": result,
        "took": f"{1000 * took:.0f} ms",
        "others waited": f"{watcher.longest / timedelta(milliseconds=1):.0f} ms",
        "longest silence": f"{1000 * silence:.0f} ms",
        "ended": f"{(database.now() - occurrence.due_at).total_seconds():.1f} s after due",
    }


def _read() -> None:
    """Hold what every reader holds, an ACCESS SHARE lock on the table and its partitions, for a while."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT count(*) FROM messaging_delivery WHERE occurrence_id = 0 AND registration_id < 10")
            time.sleep(_READER_S)
            cursor.execute("COMMIT")
    finally:
        connection.close()
