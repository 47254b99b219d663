"""What a campaign cost: CPU of each side, rate, start lag, memory, and h2load on the same provider right afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from devices.models import Channel
from messaging.ledger import ledger_of
from tests.benchmarks.clarion_processes import postgres_tree, send_to_all
from tests.benchmarks.h2load import Yardstick, run_h2load
from tests.benchmarks.process_trees import ProcessTree
from tests.benchmarks.provider_stand_in import StandIn

#: enough for h2load to reach its rate, few enough to end within two seconds
_MOST_OF_H2LOAD = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What sending to so many devices cost; CPU-seconds are for 1,000 devices."""

    devices: int
    sender: float
    postgresql: float
    provider: float
    rate: float  #: devices per second, from before the publish to the end of the campaign
    start_lag_s: float  #: from publish to the first request at the provider
    memory_mib: float  #: largest process of the sender, ever since it started

    @property
    def ours(self) -> float:
        """Sender and PostgreSQL together."""
        return self.sender + self.postgresql

    def columns(self) -> dict[str, str]:
        """Cells of a table."""
        return {
            "devices": f"{self.devices:,}",
            "sender": f"{self.sender:.4f}",
            "PostgreSQL": f"{self.postgresql:.4f}",
            "sender + PostgreSQL": f"{self.ours:.4f}",
            "provider": f"{self.provider:.4f}",
            "devices/s": f"{self.rate:,.0f}",
            "start lag": f"{self.start_lag_s:.2f} s",
            "memory": f"{self.memory_mib:.0f} MiB",
        }


def cost_of(channel: Channel, devices: int, sender: ProcessTree, provider: StandIn, *, campaigns: int = 1) -> Cost:
    """Send so many campaigns to everybody in the channel, one after the other; every device must be accepted once."""
    provider.forget_arrivals()
    trees = (sender, postgres_tree(), provider.tree)
    before = [tree.cpu_seconds() for tree in trees]
    sent = [send_to_all(channel, timeout_s=30 + devices / 500) for _ in range(campaigns)]
    total = campaigns * devices
    used = [1000 * (tree.cpu_seconds() - start) / total for tree, start in zip(trees, before, strict=True)]
    arrivals = provider.arrivals()
    assert [ledger_of(occurrence).accepted for occurrence, _ in sent] == [devices] * campaigns
    assert len(arrivals) == total
    return Cost(
        devices=devices,
        sender=used[0],
        postgresql=used[1],
        provider=used[2],
        rate=total / sum(seconds for _, seconds in sent),
        start_lag_s=arrivals[0] - sent[0][0].due_at.timestamp(),
        memory_mib=sender.peak_memory_mib(),
    )


def mean_cost(one: Cost, other: Cost) -> Cost:
    """What the same work cost at two times, as often at each."""
    return Cost(
        devices=one.devices,
        sender=(one.sender + other.sender) / 2,
        postgresql=(one.postgresql + other.postgresql) / 2,
        provider=(one.provider + other.provider) / 2,
        rate=2 / (1 / one.rate + 1 / other.rate),
        start_lag_s=(one.start_lag_s + other.start_lag_s) / 2,
        memory_mib=max(one.memory_mib, other.memory_mib),
    )


def yardstick_columns(yardstick: Yardstick, rate: float) -> dict[str, str]:
    """Cells of a table: what h2load reached, and our rate as a part of it."""
    return {
        "h2load": f"{yardstick.cpu_per_1000:.4f}",
        "h2load/s": f"{yardstick.rate:,.0f}",
        "rate of h2load": f"{rate / yardstick.rate:.0%}",
    }


def h2load_beside(cost: Cost, provider: StandIn) -> dict[str, str]:
    """The yardstick of the same minute."""
    return yardstick_columns(run_h2load(provider, min(cost.devices, _MOST_OF_H2LOAD)), cost.rate)
