"""Live subscribers: latency at five messages a second, rate and CPU of a burst, a restart with everybody connected."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from messaging import publishing
from messaging.models import PublishPolicy
from messaging.publishing import Publisher, PublishRequest
from tests.benchmarks.process_trees import ProcessTree
from tests.benchmarks.report import Report
from tests.realtime.conftest import Live, account, live, stack
from tests.realtime.stack import REPOSITORY, wait_until

__all__ = ["account", "live", "stack"]  # fixtures

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

SUBSCRIBERS = 1_000
PER_SECOND = 5
SECONDS = 20
BURST = 100
_LATENCY_NOTE = """Clients, one process that reads every message, share the cores with the server: half of the
latency is theirs. CPU is that of the socket process."""


class Subscribers:
    """A process of clients."""

    def __init__(self, live: Live) -> None:
        who = (str(SUBSCRIBERS), live.stack.socket_url, live.application_id, live.account.key)
        command = [sys.executable, "-m", "tests.benchmarks.realtime_clients", *who]
        self._process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.received = 0

    def report(self) -> dict[str, Any]:
        """What came since the last report."""
        report = self._ask("report")
        self.received += report["received"]
        return report

    def report_of(self, messages: int) -> dict[str, Any]:
        """The same once so many messages came to everybody; what is lost after a minute shows in it."""
        give_up_at = time.monotonic() + 60
        while self._ask("count")["received"] < messages * SUBSCRIBERS and time.monotonic() < give_up_at:
            time.sleep(0.1)
        time.sleep(0.5)  # for what comes twice
        return self.report()

    def _ask(self, question: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{question}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def wait_until_ready(self) -> float:
        """Seconds until all are subscribed."""
        started = time.monotonic()
        wait_until(lambda: self.report()["ready"] == SUBSCRIBERS, "all subscribers", 60)
        return time.monotonic() - started

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def subscribers(live: Live) -> Iterator[Subscribers]:
    """A thousand of them, ready."""
    made = Subscribers(live)
    try:
        made.wait_until_ready()
        yield made
    finally:
        made.close()


def test_latency_of_a_thousand_subscribers(live: Live, subscribers: Subscribers, report: Report) -> None:
    publish_steadily(live, 10)
    subscribers.report_of(10)
    sockets = ProcessTree((live.stack.processes["sockets"].pid,))
    before = sockets.cpu_seconds()

    publish_steadily(live, SECONDS * PER_SECOND)

    came, cpu = subscribers.report_of(SECONDS * PER_SECOND), sockets.cpu_seconds() - before
    row = {
        "subscribers": f"{SUBSCRIBERS:,}",
        "messages/s": str(PER_SECOND),
        "p50 ms": str(came["p50_ms"]),
        "p99 ms": str(came["p99_ms"]),
        "CPU us a delivery": f"{cpu / came['received'] * 1e6:.1f}",
    }
    report.add("Live subscribers: from publish by REST to receipt", row, note=_LATENCY_NOTE)
    assert (came["received"], came["doubled"]) == (SECONDS * PER_SECOND * SUBSCRIBERS, 0)


def test_burst_to_a_thousand_subscribers(live: Live, subscribers: Subscribers, report: Report) -> None:
    sockets = ProcessTree((live.stack.processes["sockets"].pid,))
    before, received, started = sockets.cpu_seconds(), subscribers.received, time.time()
    request = PublishRequest(channel_name="default", body={"n": 0, "at": started}, publish_policy=PublishPolicy.PUBSUB)
    with transaction.atomic():
        for _ in range(BURST):
            publishing.publish(
                application=live.account.application, request=request, publisher=Publisher(may_publish=True)
            )
        committed = time.time()

    last_at = [0.0]

    def all_came() -> bool:
        last_at[0] = subscribers.report()["last_at"]
        return subscribers.received - received == BURST * SUBSCRIBERS

    wait_until(all_came, "the burst", 60)
    deliveries, cpu = BURST * SUBSCRIBERS, sockets.cpu_seconds() - before
    row = {
        "messages x subscribers": f"{BURST} x {SUBSCRIBERS:,}",
        "deliveries/s": f"{deliveries / (last_at[0] - committed):,.0f}",
        "CPU us a delivery": f"{cpu / deliveries * 1e6:.1f}",
        "memory MiB": f"{sockets.peak_memory_mib():.0f}",
    }
    report.add("Live subscribers: a burst", row)


def test_restart_with_a_thousand_subscribers(live: Live, subscribers: Subscribers, report: Report) -> None:
    live.stack.stop("sockets")
    stopped = time.monotonic()
    live.stack.start_sockets()
    started = time.monotonic()
    subscribers.wait_until_ready()
    back = time.monotonic()
    subscribers.report()

    publish_steadily(live, 25)

    came = subscribers.report_of(25)
    row = {
        "subscribers": f"{SUBSCRIBERS:,}",
        "s until the process answers": f"{started - stopped:.1f}",
        "s until all are back": f"{back - started:.1f}",
        "lost or doubled after": str(25 * SUBSCRIBERS - came["received"] + came["doubled"]),
    }
    report.add("Live subscribers: the socket process restarts", row)
    assert (came["received"], came["doubled"]) == (25 * SUBSCRIBERS, 0)


def publish_steadily(live: Live, count: int) -> None:
    """Messages at a steady rate, each with the moment at which it left."""
    first = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, first + number / PER_SECOND - time.monotonic()))
        live.publish({"n": number, "at": time.time()})
