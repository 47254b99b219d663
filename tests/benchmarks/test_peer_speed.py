"""The same work through senders that others wrote, on the same provider in the same minute."""

from __future__ import annotations

import pytest

from devices.push_services import PushService
from messaging.simulators.accounts import demo_token
from tests.benchmarks.clarion_processes import application_with_credentials, running_sender, send_to_all
from tests.benchmarks.measurements import Cost, cost_of
from tests.benchmarks.peer_processes import PEERS, WARM_UP, Peer, PeerCost, cost_of_peer, install_peers, node_version
from tests.benchmarks.populations import populate
from tests.benchmarks.provider_stand_in import StandIn
from tests.benchmarks.report import Report

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_old_deliveries"),
]

_TITLE = "The same through senders from npm and PyPI"
_NOTE = f"""CPU-seconds for 1,000 devices, of whole process trees; sending alone: processes were started, devices
loaded and {WARM_UP} requests made before (2,000 at ours). Ours is sender + PostgreSQL, from publish to the last stored
outcome: each device has a row of its own in the end. The peers answer with totals and lists in memory and store
nothing; django-push-notifications reads its devices from SQLite. Failed: the provider refuses nothing, but aioapns
gives up after a second. Times: how much more CPU than ours, and how many times our rate. node-apn sends 1,000 a call,
web-push has 100 requests at once, django-push-notifications sends slices of 500, its Web Push one by one."""


@pytest.mark.parametrize("service", [PushService.APNS, PushService.FCM, PushService.WEBPUSH])
def test_peers(service: PushService, provider: StandIn, report: Report) -> None:
    report.describe_database()
    install_peers()
    report.versions["Node.js"] = node_version()
    peers = [peer for peer in PEERS if peer.service is service]
    devices = max(peer.devices for peer in peers)
    ours = _our_cost(service, devices, provider)
    report.add(_TITLE, _row(service, "Clarion", devices, PeerCost(cpu_per_1000=ours.ours, rate=ours.rate), ours))
    for peer in peers:
        cost = cost_of_peer(peer, _tokens(peer, provider), provider)
        report.add(_TITLE, _row(service, peer.name, peer.devices, cost, ours), note=_NOTE)


def _our_cost(service: PushService, devices: int, provider: StandIn) -> Cost:
    application = application_with_credentials(provider)
    warm_up = populate(application, "warm-up", (service,), devices=2_000, url=provider.url)
    everybody = populate(application, "everybody", (service,), devices=devices, url=provider.url)
    with running_sender(provider) as sender:
        send_to_all(warm_up, timeout_s=60)
        return cost_of(everybody, devices, sender, provider)


def _tokens(peer: Peer, provider: StandIn) -> list[str]:
    urls = {"webpush": provider.url}
    return [demo_token(peer.service.value, n, urls=urls) for n in range(WARM_UP + peer.devices)]


def _row(service: PushService, name: str, devices: int, cost: PeerCost, ours: Cost) -> dict[str, str]:
    return {
        "push service": service.label,
        "sender": name,
        "devices": f"{devices:,}",
        "failed": f"{cost.failed:,}",
        "CPU-s for 1,000": f"{cost.cpu_per_1000:.4f}",
        "devices/s": f"{cost.rate:,.0f}",
        "CPU, times ours": f"{cost.cpu_per_1000 / ours.ours:.1f}",
        "rate, times ours": f"{cost.rate / ours.rate:.3f}",
    }
