"""How long people wait for the audience of what they compose."""

from __future__ import annotations

import os
import statistics
import time

import pytest

from devices import audience
from devices.audience import AudienceSpec
from devices.models import Application
from devices.push_services import Os, PushService
from tests.benchmarks.populations import populate
from tests.benchmarks.report import Report

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

_RUNS = 7
_OSES: dict[str, tuple[Os, ...]] = {"every OS": tuple(Os), "iOS": (Os.IOS,)}


def test_audience_count(report: Report) -> None:
    devices = int(os.environ.get("CLARION_BENCH_AUDIENCE", 1_000_000))
    report.describe_database()
    application = Application.objects.create(name="Benchmark")
    channel = populate(application, "everybody", (PushService.APNS, PushService.FCM), devices=devices)
    for name, oses in _OSES.items():
        spec = AudienceSpec(application_pk=application.pk, channel_pk=channel.pk, oses=oses)
        times_ms = [_count_ms(spec) for _ in range(_RUNS)]
        report.add(
            "Audience count",
            {
                "audience": f"{name} of a channel",
                "devices": f"{devices:,}",
                "first": f"{times_ms[0]:.0f} ms",
                f"median of {_RUNS}": f"{statistics.median(times_ms):.0f} ms",
                "slowest": f"{max(times_ms):.0f} ms",
            },
        )
    everybody = AudienceSpec(application_pk=application.pk, channel_pk=channel.pk, oses=tuple(Os))
    assert sum(found.devices for found in audience.count(everybody)) == devices


def _count_ms(spec: AudienceSpec) -> float:
    started = time.perf_counter()
    audience.count(spec)
    return 1000 * (time.perf_counter() - started)
