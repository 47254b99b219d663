"""Ten thousand firings of repeated messages by four tickers: one is killed, one stopped, two have wrong clocks."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from console.processes import Child
from devices.models import Channel
from devices.push_services import PushService
from messaging import database, heartbeat
from messaging.models import Delivery, Message, MessageStatus, Occurrence, OccurrenceState
from messaging.publishing import Publisher, PublishRequest, publish
from tests.benchmarks.clarion_processes import (
    READY_S,
    application_with_credentials,
    clarion_command,
    environment,
    postgres_tree,
    running,
    send_to_all,
    tree_of,
    wait_until,
)
from tests.benchmarks.populations import populate
from tests.benchmarks.provider_stand_in import StandIn
from tests.benchmarks.report import Report
from tests.benchmarks.wrong_clocks import INSTALL, JumpingClock, ahead, error_s, find_faketime

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_old_deliveries"),
]

_FIRINGS = int(os.environ.get("CLARION_BENCH_FIRINGS", 10_000))
_MESSAGES = int(os.environ.get("CLARION_BENCH_REPEATING", 50))
#: messages that are due at the same instant; such groups follow each other evenly within each second
_TOGETHER = 10
_SECONDS = -(-_FIRINGS // _MESSAGES)
_STOPPED_S = 5.0
_BUCKETS_MS = (50, 100, 250, 500, 1_000, 2_000, 5_000)
_TITLE = "Repeated messages: four tickers, trouble with clocks and processes"
_NOTE = f"""{_MESSAGES} messages repeat every second on one database, {_TOGETHER} of them due at the same instant,
each to a device of its own. Of four ticker processes one is killed with -9 and started again after a tenth of the run,
one is stopped for {_STOPPED_S:.0f} s, the clock of one is three hours ahead, that of one is set three hours back and
ahead by turns every second (libfaketime). Doubled: firings stored twice for one moment, and pushes that reached the
provider twice. Skipped: recorded with the reason. Drift: largest distance of a due time from first + n seconds.
CPU-seconds for 1,000 firings that were due; the killed ticker's are left out."""
_LAG_TITLE = "Repeated messages: lag after the due time"
_LAG_NOTE = "Both by the clock of the machine, which PostgreSQL and the provider share. Firings that were sent."


@dataclass(frozen=True, slots=True)
class Tickers:
    """The four processes and the clock that jumps."""

    killed: Child
    stopped: Child
    children: tuple[Child, ...]
    clock: JumpingClock
    workers: Child

    def cpu_seconds(self) -> list[float]:
        """Of the tickers that were not killed, of the workers, of PostgreSQL."""
        alive = [child for child in self.children if child is not self.killed]
        return [tree_of(alive).cpu_seconds(), tree_of([self.workers]).cpu_seconds(), postgres_tree().cpu_seconds()]


@dataclass(frozen=True, slots=True)
class Firings:
    """What the database and the provider's log say afterwards."""

    occurrences: list[Occurrence]
    claim_lags_s: list[float]
    request_lags_s: list[float]
    doubled_pushes: int
    lost_pushes: int

    @property
    def doubled_moments(self) -> int:
        """Firings beyond the first of each message and due time."""
        moments = {(occurrence.message_id, occurrence.due_at) for occurrence in self.occurrences}
        return len(self.occurrences) - len(moments)

    @property
    def skipped(self) -> Counter[str]:
        """How many were skipped, by reason."""
        return Counter(one.skip_reason for one in self.occurrences if one.state == OccurrenceState.SKIPPED)

    def drift(self, first_due: dict[int, datetime]) -> timedelta:
        """Largest distance of a due time from its place in the series."""
        return max(
            abs(one.due_at - first_due[one.message_id] - (one.n - 1) * timedelta(seconds=1)) for one in self.occurrences
        )


def test_firings_of_four_tickers(provider: StandIn, report: Report, tmp_path: Path) -> None:
    library = find_faketime()
    if library is None:
        pytest.skip(f"faketime is needed: {INSTALL}")
    report.describe_database()
    application = application_with_credentials(provider)
    channel = populate(application, "everybody", (PushService.APNS,), devices=_MESSAGES)
    with _four_tickers(provider, library, tmp_path) as tickers:
        send_to_all(channel, timeout_s=60)
        provider.forget_arrivals()
        before = tickers.cpu_seconds()
        messages = _publish_series(channel)
        _disturb(tickers)
        wait_until(lambda: not _open_series(messages), 60 + _SECONDS)
        wait_until(lambda: not Occurrence.objects.filter(closed_at=None).exists(), 60)
        used = [after - start for after, start in zip(tickers.cpu_seconds(), before, strict=True)]
    firings = _firings_of(messages, provider)
    _report(report, firings, {message.pk: first for message, first in messages.items()}, used)
    assert [one.n for one in firings.occurrences] == list(range(1, _SECONDS + 1)) * _MESSAGES
    assert (firings.doubled_moments, firings.doubled_pushes, firings.lost_pushes) == (0, 0, 0)


@contextmanager
def _four_tickers(provider: StandIn, library: Path, folder: Path) -> Iterator[Tickers]:
    """Beside a group of workers."""
    right = environment(provider)
    clock = JumpingClock(library, folder / "clock")
    clock.jump()
    for wrong in (ahead(library), clock.environment):
        assert abs(error_s(wrong, time.time())) > 3_000
    tickers = [clarion_command("ticker", right | wrong) for wrong in ({}, {}, ahead(library), clock.environment)]
    workers = clarion_command("workers", right)
    with running([*tickers, workers]):
        wait_until(lambda: heartbeat.live_workers() > 0, READY_S)
        yield Tickers(tickers[0], tickers[1], tuple(tickers), clock, workers)


def _publish_series(channel: Channel) -> dict[Message, datetime]:
    """One message for each device of the channel; with the first due times, ten at the same instant."""
    begins = database.now() + timedelta(seconds=3)
    first_due = [begins + (n // _TOGETHER) * timedelta(seconds=_TOGETHER / _MESSAGES) for n in range(_MESSAGES)]
    return {
        publish(
            application=channel.application,
            request=PublishRequest(
                channel_name=channel.name,
                body="Good morning",
                push_singlecast=(f"{channel.name}-{n}",),
                publish_at=due_at,
                repeat_every=timedelta(seconds=1),
                repeat_expires_at=due_at + timedelta(seconds=_SECONDS),
            ),
            publisher=Publisher(may_publish=True),
        ): due_at
        for n, due_at in enumerate(first_due)
    }


def _disturb(tickers: Tickers) -> None:
    """Until the series end: a clock is set each second, a ticker killed and started again, another one stopped."""
    stop_at = _SECONDS * 0.6
    plan: list[tuple[float, Callable[[], None]]] = [
        (_SECONDS * 0.2, tickers.killed.kill_group),
        (_SECONDS * 0.3, tickers.killed.start),
        (stop_at, partial(_signal, tickers.stopped, signal.SIGSTOP)),
        (stop_at + _STOPPED_S, partial(_signal, tickers.stopped, signal.SIGCONT)),
    ]
    began = time.monotonic()
    while plan or time.monotonic() - began < _SECONDS:
        tickers.clock.jump()
        time.sleep(1)
        while plan and time.monotonic() - began >= plan[0][0]:
            plan.pop(0)[1]()


def _signal(child: Child, number: signal.Signals) -> None:
    assert child.process is not None
    child.process.send_signal(number)


def _open_series(messages: dict[Message, datetime]) -> bool:
    wanted = [message.pk for message in messages]
    return Message.objects.filter(pk__in=wanted, status=MessageStatus.SCHEDULED).exists()


def _firings_of(messages: dict[Message, datetime], provider: StandIn) -> Firings:
    occurrences = list(Occurrence.objects.filter(message__in=list(messages)).order_by("message", "n"))
    due_at = {one.pk: one.due_at for one in occurrences}
    sent = Delivery.objects.filter(outcome="accepted", occurrence_id__in=due_at)
    due_of_push = {apns_id: due_at[pk] for apns_id, pk in sent.values_list("provider_id", "occurrence_id")}
    arrived = Counter(apns_id for apns_id, _ in provider.arrivals_at_apns())
    arrivals = [(apns_id, at) for apns_id, at in provider.arrivals_at_apns() if apns_id in due_of_push]
    return Firings(
        occurrences,
        claim_lags_s=[(one.claimed_at - one.due_at).total_seconds() for one in occurrences if one.claimed_at],
        request_lags_s=[at - due_of_push[apns_id].timestamp() for apns_id, at in arrivals],
        doubled_pushes=arrived.total() - len(arrived),
        lost_pushes=sum(one.state == OccurrenceState.DONE for one in occurrences) - len(arrived),
    )


def _report(report: Report, firings: Firings, first_due: dict[int, datetime], cpu_s: Sequence[float]) -> None:
    row = {
        "due": f"{_MESSAGES * _SECONDS:,}",
        "recorded": f"{len(firings.occurrences):,}",
        "sent": f"{len(firings.claim_lags_s):,}",
        "doubled": str(firings.doubled_moments + firings.doubled_pushes),
        "lost": str(firings.lost_pushes),
        "skipped": ", ".join(f"{count:,} {reason}" for reason, count in firings.skipped.items()) or "0",
        "drift": f"{firings.drift(first_due) / timedelta(milliseconds=1):g} ms",
    }
    per_1000 = [1000 * seconds / len(firings.occurrences) for seconds in cpu_s]
    row |= {
        name: f"{value:.1f}" for name, value in zip(("three tickers", "workers", "PostgreSQL"), per_1000, strict=True)
    }
    report.add(_TITLE, row, note=_NOTE)
    for until, lags in (("claimed", firings.claim_lags_s), ("first request", firings.request_lags_s)):
        report.add(_LAG_TITLE, {"from due to": until} | _histogram(lags), note=_LAG_NOTE)


def _histogram(lags_s: Sequence[float]) -> dict[str, str]:
    """Percentiles, and how many lie within each limit and above the one before it."""
    lags = sorted(1000 * lag for lag in lags_s)
    cells = {f"p{share}": f"{lags[min(len(lags) * share // 100, len(lags) - 1)]:.0f} ms" for share in (50, 90, 99)}
    cells["max"] = f"{lags[-1]:.0f} ms"
    below = 0
    for limit in _BUCKETS_MS:
        count = sum(lag <= limit for lag in lags)
        cells[f"<= {limit:,} ms"] = f"{count - below:,}"
        below = count
    return cells | {"later": f"{len(lags) - below:,}"}
