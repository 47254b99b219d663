"""What a live subscriber notices while one address attacks the socket process, and what the process pays for it."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.benchmarks.process_trees import ProcessTree
from tests.benchmarks.report import Report
from tests.realtime.conftest import Live, account, live, stack
from tests.realtime.live_client import LiveClient
from tests.realtime.stack import REPOSITORY

__all__ = ["account", "live", "stack"]  # fixtures

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

MESSAGES, PER_SECOND = 60, 10
_SPREADS_S = 10  #: until an attack has spread out
_TITLE = "Live subscribers: one address attacks the socket process"
_NOTE = """The attackers, one process at 127.0.0.66, try again half a second after they were refused; they share the
two cores with the server. The subscriber, the newcomers and the publisher have other addresses."""


@dataclass(slots=True)
class Attack:
    """A process that attacks."""

    process: subprocess.Popen[str]

    def after_seconds(self, seconds: int) -> dict[str, int]:
        """What it has open by then, and how often it was refused."""
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline() for _ in range(seconds)]
        reached: dict[str, int] = json.loads(lines[-1])
        return reached


@contextlib.contextmanager
def attack(live: Live, kind: str, count: int) -> Iterator[Attack]:
    """Attack for as long as this lasts."""
    key = live.account.client_key if kind == "subscribe" else "WRONG"
    who = (kind, str(count), live.stack.socket_url, live.application_id, key)
    command = [sys.executable, "-m", "tests.benchmarks.realtime_attackers", *who]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Attack(process)
        finally:
            process.kill()


@pytest.mark.parametrize(("kind", "count"), [("no", 0), ("sessions", 5_000), ("handshakes", 2_000), ("subscribe", 200)])
def test_a_subscriber_during_an_attack(live: Live, report: Report, kind: str, count: int) -> None:
    live.stack.stop("sockets")
    sockets = ProcessTree((live.stack.start_sockets(),))
    before_mib = sockets.peak_memory_mib()
    with attack(live, kind, count) if count else contextlib.nullcontext() as attacking:
        reached = attacking.after_seconds(_SPREADS_S) if attacking else {"open": 0, "refused": 0}
        subscriber = (
            live.client()
        )  # only now: busy attackers take long to say how far they are, and it must answer pings
        subscriber.subscribe("MESSAGES")
        cpu, began = sockets.cpu_seconds(), time.monotonic()
        latencies = latencies_of(live, subscriber)
        joins = [seconds_to_join(live) for _ in range(10)]
        cpu = (sockets.cpu_seconds() - cpu) / (time.monotonic() - began)

    row = {
        "attack": f"{count:,} {kind}",
        "open / refused after 10 s": f"{reached['open']:,} / {reached['refused']:,}",
        "p50 ms": f"{statistics.median(latencies) * 1000:.1f}",
        "max ms": f"{max(latencies) * 1000:.0f}",
        "to join, median ms": f"{statistics.median(joins) * 1000:.0f}",
        "to join, max ms": f"{max(joins) * 1000:.0f}",
        "memory MiB": f"{before_mib:.0f} to {sockets.peak_memory_mib():.0f}",
        "cores": f"{cpu:.2f}",
    }
    report.add(_TITLE, row, note=_NOTE)
    assert len(latencies) == MESSAGES


def latencies_of(live: Live, subscriber: LiveClient) -> list[float]:
    """Seconds from publish to receipt."""
    publisher = threading.Thread(target=publish_steadily, args=(live,))
    publisher.start()
    latencies = []
    for _ in range(MESSAGES):
        sent_at = subscriber.next_content(60)["message"]["at"]
        latencies.append(time.time() - sent_at)
    publisher.join()
    return latencies


def publish_steadily(live: Live) -> None:
    """Messages at a steady rate, each with the moment at which it left."""
    first = time.monotonic()
    for number in range(MESSAGES):
        time.sleep(max(0.0, first + number / PER_SECOND - time.monotonic()))
        live.publish({"n": number, "at": time.time()})


def seconds_to_join(live: Live) -> float:
    """Of somebody new: connected and subscribed to a channel nobody asked about before."""
    began = time.monotonic()
    newcomer = live.client()
    newcomer.subscribe("MESSAGES", f"channel-{began}")
    newcomer.close()
    return time.monotonic() - began
