"""From publish to the last stored outcome, through the processes that run in production."""

from __future__ import annotations

import os

import pytest

from devices.push_services import PushService
from messaging.ledger import ledger_of
from tests.benchmarks.clarion_processes import (
    application_with_credentials,
    postgres_tree,
    running_sender,
    send_to_all,
)
from tests.benchmarks.h2load import run_h2load
from tests.benchmarks.populations import populate
from tests.benchmarks.provider_stand_in import StandIn
from tests.benchmarks.report import Report

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

#: devices that open the connections and fetch the access tokens before anything is measured
_WARM_UP = 2_000
_TITLE = "Publish to all outcomes stored"
_NOTE = """CPU-seconds (user + system, whole process trees) for 1,000 devices. Sender: ticker, worker group and its
watchdog; provider: one nginx worker on loopback, TLS 1.3 and HTTP/2, measured apart. Start lag: publish to the first
request at the provider. Memory: the largest process of the sender. h2load ran on the same nginx right afterwards."""

_MIXES = {
    "APNs + FCM": (PushService.APNS, PushService.FCM),
    "APNs": (PushService.APNS,),
    "FCM": (PushService.FCM,),
    "Web Push": (PushService.WEBPUSH,),
}


def _devices(default: int) -> int:
    return int(os.environ.get("CLARION_BENCH_DEVICES", default))


@pytest.mark.parametrize(
    ("mix", "devices"),
    [("APNs + FCM", _devices(100_000)), ("APNs", 50_000), ("FCM", 50_000), ("Web Push", 20_000)],
)
def test_publish_reaches_every_device(mix: str, devices: int, provider: StandIn, report: Report) -> None:
    report.describe_database()
    application = application_with_credentials(provider)
    warm_up = populate(application, "warm-up", _MIXES[mix], devices=_WARM_UP, url=provider.url)
    everybody = populate(application, "everybody", _MIXES[mix], devices=devices, url=provider.url)
    database = postgres_tree()
    with running_sender(provider) as sender:
        send_to_all(warm_up, timeout_s=60)
        provider.forget_arrivals()
        trees = (sender, database, provider.tree)
        before = [tree.cpu_seconds() for tree in trees]
        occurrence, wall_s = send_to_all(everybody, timeout_s=30 + devices / 500)
        used = [1000 * (tree.cpu_seconds() - start) / devices for tree, start in zip(trees, before, strict=True)]
        memory = sender.peak_memory_mib()
    arrivals = provider.arrivals()
    yardstick = run_h2load(provider, min(devices, 100_000))

    assert ledger_of(occurrence).accepted == devices
    assert len(arrivals) == devices
    report.add(
        _TITLE,
        {
            "work": mix,
            "devices": f"{devices:,}",
            "sender": f"{used[0]:.4f}",
            "PostgreSQL": f"{used[1]:.4f}",
            "sender + PostgreSQL": f"{used[0] + used[1]:.4f}",
            "provider": f"{used[2]:.4f}",
            "devices/s": f"{devices / wall_s:,.0f}",
            "start lag": f"{arrivals[0] - occurrence.due_at.timestamp():.2f} s",
            "memory": f"{memory:.0f} MiB",
            "h2load": f"{yardstick.cpu_per_1000:.4f}",
            "h2load/s": f"{yardstick.rate:,.0f}",
            "rate of h2load": f"{devices / wall_s / yardstick.rate:.0%}",
        },
        note=_NOTE,
    )
