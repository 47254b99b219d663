"""What one push service's trouble costs another: the rate of FCM while APNs hangs, refuses, throttles or is paused."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from statistics import mean

import pytest

from devices.push_services import PushService
from messaging import control, lanes
from messaging.models import Batch, Lane, LaneState
from tests.benchmarks.report import Report
from tests.faults.clarion import sender
from tests.messaging.stage import Stage, fresh, wait_until

pytestmark = [pytest.mark.benchmark, pytest.mark.usefixtures("no_old_deliveries")]

_DEVICES = int(os.environ.get("CLARION_BENCH_ISOLATION_DEVICES", 12_000))
#: by then connections are open, the message is proven and both lanes have their part of the window
_BEFORE_TROUBLE = 2_000
#: two workers have 400 requests on the wire: 1,000 a second, which leaves the processor time to spare
_LATENCY_MS = 400
_TURNS = int(os.environ.get("CLARION_BENCH_ISOLATION_TURNS", 2))
_TITLE = "One lane in trouble beside another"
_NOTE = f"""FCM alone, beside a healthy APNs lane, and beside one that falls ill in mid-campaign. Requests a second at
the FCM simulator from then to the end of its {_DEVICES:,} devices; as many APNs devices. Two workers; simulators take
{_LATENCY_MS} ms to answer, so the window is what limits. Alternated {_TURNS} times."""


def _nothing(stage: Stage) -> None:
    """Let everything go on."""


def _mode(name: str) -> Callable[[Stage], None]:
    return lambda stage: stage.simulators.set_mode("apns", name, latency_ms=_LATENCY_MS)


def _pause(stage: Stage) -> None:
    lanes.pause(stage.application.pk, PushService.APNS, "by hand")


_WAYS: dict[str, tuple[tuple[str, ...], Callable[[Stage], None]]] = {
    "no other lane": (("ANDROID",), _nothing),
    "APNs well": (("ANDROID", "IOS"), _nothing),
    "APNs hangs": (("ANDROID", "IOS"), _mode("hang")),
    "APNs answers 503": (("ANDROID", "IOS"), _mode("503-5")),
    "APNs answers 429": (("ANDROID", "IOS"), _mode("429-5")),
    "APNs paused": (("ANDROID", "IOS"), _pause),
}


def test_a_lane_in_trouble_costs_another_less_than_a_tenth(stage: Stage, report: Report) -> None:
    report.describe_database()
    stage.devices(_DEVICES)
    stage.devices(_DEVICES, "IOS")
    rates: dict[str, list[float]] = {name: [] for name in _WAYS}
    with sender():
        _fcm_rate(stage, ("ANDROID",), _nothing)  # the first campaign makes caches and access tokens
        for _ in range(_TURNS):
            for name, (oses, trouble) in _WAYS.items():
                rates[name].append(_fcm_rate(stage, oses, trouble))

    alone, shared = mean(rates["no other lane"]), mean(rates["APNs well"])
    for name, measured in rates.items():
        row = {
            "beside": name,
            "FCM/s": f"{mean(measured):,.0f}",
            "each turn": ", ".join(f"{rate:,.0f}" for rate in measured),
            "of alone": f"{mean(measured) / alone:.0%}",
            "of beside a healthy lane": f"{mean(measured) / shared:.0%}",
        }
        report.add(_TITLE, row, note=_NOTE)


def _fcm_rate(stage: Stage, oses: Sequence[str], trouble: Callable[[Stage], None]) -> float:
    """FCM requests a second of a new campaign, from the moment of the trouble on."""
    stage.simulators.reset()
    stage.simulators.set_mode("*", latency_ms=_LATENCY_MS)
    occurrence = stage.publish(*oses)
    wait_until(lambda: _fcm_requests(stage) >= _BEFORE_TROUBLE, 60, "the campaign to run")
    trouble(stage)
    since = time.time()
    wait_until(lambda: _fcm_requests(stage) >= _DEVICES, 120, "every FCM device")
    times = [float(entry["time"]) for entry in stage.requests("fcm") if entry["time"] >= since]
    if fresh(occurrence).closed_at is None:
        control.stop(occurrence)
    Lane.objects.update(state=LaneState.OPEN, throttled_until=None)
    wait_until(lambda: not Batch.objects.exclude(state="done").exists(), 60, "the campaign to end")
    return len(times) / (times[-1] - times[0])


def _fcm_requests(stage: Stage) -> int:
    """Answered or being answered; asked for without reading the log, which would slow the simulators."""
    services = stage.simulators.counts()["services"]
    assert isinstance(services, dict)
    return sum(services["fcm"].values())
