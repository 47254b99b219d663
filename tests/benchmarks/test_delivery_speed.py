"""From publish to the last stored outcome, through the processes that run in production; how the cost grows."""

from __future__ import annotations

import pytest

from devices.push_services import PushService
from tests.benchmarks.clarion_processes import application_with_credentials, running_sender, send_to_all
from tests.benchmarks.measurements import Cost, cost_of, h2load_beside
from tests.benchmarks.populations import MOST_DEVICES, populate
from tests.benchmarks.provider_stand_in import StandIn
from tests.benchmarks.report import Report

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_old_deliveries"),
]

#: devices that open the connections and fetch the access tokens before anything is measured
_WARM_UP = 2_000
#: small campaigns are sent so many times: one of them uses less CPU than can be measured well
_SMALL_CAMPAIGNS = 5
_TITLE = "Publish to all outcomes stored"
_NOTE = """CPU-seconds (user + system, whole process trees) for 1,000 devices. Sender: ticker, worker group and its
watchdog; provider: one nginx worker on loopback, TLS 1.3 and HTTP/2, measured apart. Start lag: publish to the first
request at the provider. Memory: the largest process of the sender. h2load ran on the same nginx right afterwards.
Mixed: 40 % APNs, 40 % FCM, 20 % Web Push."""
_GROWTH_TITLE = "How the cost grows (APNs + FCM)"
_GROWTH_NOTE = f"""CPU-seconds of sender + PostgreSQL for 1,000 devices. All devices are registered before the first
campaign; one group of workers sends all campaigns, smallest first. Cold: the first campaign after the processes
started, with connections, TLS, access tokens and caches still to be made. Every other row is warm and has what each
campaign costs however small it is: publish, claim, planning, closing. The smallest was sent {_SMALL_CAMPAIGNS} times.
Spread: the dearest warm row above the cheapest."""

_BOTH = (PushService.APNS, PushService.FCM)
_WORKS = {
    "APNs": ((PushService.APNS,), (10, 1)),
    "FCM": ((PushService.FCM,), (10, 1)),
    "Web Push": ((PushService.WEBPUSH,), (20,)),
    "Mixed": ((*_BOTH, *_BOTH, PushService.WEBPUSH), (10,)),
}


def test_cost_grows_with_the_devices(provider: StandIn, report: Report) -> None:
    report.describe_database()
    application = application_with_credentials(provider)
    small, middle, large = MOST_DEVICES // 100, MOST_DEVICES // 10, MOST_DEVICES
    channels = {count: populate(application, f"d{count}", _BOTH, devices=count) for count in (small, middle, large)}
    with running_sender(provider) as sender:
        cold = cost_of(channels[small], small, sender, provider)
        warm = [cost_of(channels[small], small, sender, provider, campaigns=_SMALL_CAMPAIGNS)]
        for count in (middle, large):
            warm.append(cost_of(channels[count], count, sender, provider))
            row = warm[-1].columns() | h2load_beside(warm[-1], provider)
            report.add(_TITLE, {"work": "APNs + FCM"} | row, note=_NOTE)
    _report_growth(report, cold, warm)


@pytest.mark.parametrize("work", _WORKS)
def test_publish_reaches_every_device(work: str, provider: StandIn, report: Report) -> None:
    report.describe_database()
    services, parts = _WORKS[work]
    application = application_with_credentials(provider)
    warm_up = populate(application, "warm-up", services, devices=_WARM_UP, url=provider.url)
    counts = [MOST_DEVICES // part for part in parts]
    channels = [populate(application, f"d{count}", services, devices=count, url=provider.url) for count in counts]
    with running_sender(provider) as sender:
        send_to_all(warm_up, timeout_s=60)
        for channel, devices in zip(channels, counts, strict=True):
            cost = cost_of(channel, devices, sender, provider)
            report.add(_TITLE, {"work": work} | cost.columns() | h2load_beside(cost, provider), note=_NOTE)


def _report_growth(report: Report, cold: Cost, warm: list[Cost]) -> None:
    cheapest = min(cost.ours for cost in warm)
    spread = max(cost.ours for cost in warm) / cheapest - 1
    for name, cost in [("cold", cold), *(("warm", cost) for cost in warm)]:
        row = {
            "devices": f"{cost.devices:,}",
            "processes": name,
            "sender": f"{cost.sender:.4f}",
            "PostgreSQL": f"{cost.postgresql:.4f}",
            "sender + PostgreSQL": f"{cost.ours:.4f}",
            "above the cheapest warm row": f"{cost.ours / cheapest - 1:.0%}",
            "devices/s": f"{cost.rate:,.0f}",
            "memory": f"{cost.memory_mib:.0f} MiB",
        }
        report.add(_GROWTH_TITLE, row, note=f"{_GROWTH_NOTE} Here: {spread:.0%}.")
