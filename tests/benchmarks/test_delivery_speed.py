"""From publish to the last stored outcome, through the processes that run in production; how the cost grows."""

from __future__ import annotations

import pytest

from devices.push_services import PushService
from tests.benchmarks.clarion_processes import application_with_credentials, running_sender, send_to_all
from tests.benchmarks.measurements import Cost, cost_of, h2load_beside, mean_cost
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
#: campaigns of the smallest and the middle size before the largest, and as many after it: a machine that grows slower
#: or faster meanwhile weighs on all sizes alike, and one small campaign uses less CPU than can be measured well
_SMALL_CAMPAIGNS, _MIDDLE_CAMPAIGNS = 10, 3
_TITLE = "Publish to all outcomes stored"
_NOTE = """CPU-seconds (user + system, whole process trees) for 1,000 devices. Sender: ticker, worker group and its
watchdog; provider: one nginx worker on loopback, TLS 1.3 and HTTP/2, measured apart. Start lag: publish to the first
request at the provider. Memory: the largest process of the sender. h2load ran on the same nginx right afterwards.
Mixed: 40 % APNs, 40 % FCM, 20 % Web Push."""
_GROWTH_TITLE = "How the cost grows (APNs + FCM)"
_GROWTH_NOTE = f"""CPU-seconds of sender + PostgreSQL for 1,000 devices. All devices are registered before the first
campaign; one group of workers sends all campaigns. Cold: the first campaign after the processes started, with
connections, TLS, access tokens and caches still to be made. Every other row is warm and has what each campaign costs
however small it is: publish, claim, planning, closing. They are means of a mirrored order, so that a drift of the
machine weighs on all alike: {_SMALL_CAMPAIGNS} small campaigns, {_MIDDLE_CAMPAIGNS} middle ones, the largest, as many
middle ones and as many small ones again.
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
        before = [
            cost_of(channels[small], small, sender, provider, campaigns=_SMALL_CAMPAIGNS),
            cost_of(channels[middle], middle, sender, provider, campaigns=_MIDDLE_CAMPAIGNS),
        ]
        _report_work(report, before[-1], provider)
        most = cost_of(channels[large], large, sender, provider)
        _report_work(report, most, provider)
        after = [
            cost_of(channels[middle], middle, sender, provider, campaigns=_MIDDLE_CAMPAIGNS),
            cost_of(channels[small], small, sender, provider, campaigns=_SMALL_CAMPAIGNS),
        ]
    _report_growth(report, cold, [mean_cost(before[0], after[1]), mean_cost(before[1], after[0]), most])


def _report_work(report: Report, cost: Cost, provider: StandIn) -> None:
    row = cost.columns() | h2load_beside(cost, provider)
    report.add(_TITLE, {"work": "APNs + FCM"} | row, note=_NOTE)


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
