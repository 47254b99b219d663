"""kill -9 at random moments: one outcome for each device every time, few requests doubled (F-03, P3, P4)."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

import pytest

from devices.models import DeviceRegistration
from messaging.models import InDoubtPolicy
from tests.faults.clarion import duplicates
from tests.faults.drain_forks import DrainForks, drain_forks, kill_9
from tests.messaging.processes import report
from tests.messaging.stage import Stage, check_books, finish, let_lease_lapse, tokens

pytestmark = pytest.mark.fault

_ROUNDS = 40
_ROUNDS_OF_SKIP = 12
_AUDIENCE = 1_000
_SEED = 20261122
#: a drain of the audience takes about that long
_LIFE_S = 1.2


@dataclass(slots=True)
class Seen:
    """What the rounds came to."""

    doubled: list[int] = field(default_factory=list)
    interrupted: int = 0

    def line(self) -> str:
        """For the report."""
        return (
            f"{len(self.doubled)} times kill -9, {self.interrupted} in mid-campaign: at most {max(self.doubled)} "
            f"doubled, {sum(self.doubled)} in all of {len(self.doubled) * _AUDIENCE:,} devices, none lost"
        )


def one_round(stage: Stage, devices: list[DeviceRegistration], forks: DrainForks, after_s: float, seen: Seen) -> None:
    """A campaign whose drain is killed after so many seconds, then finished by another."""
    stage.simulators.reset()
    stage.simulators.set_mode("*", latency_ms=20)
    occurrence = stage.start("ANDROID", "IOS")
    drain = forks.start()
    time.sleep(after_s)
    kill_9(drain)
    forks.wait()
    seen.interrupted += check_books(occurrence).pending > 0
    let_lease_lapse(occurrence)

    assert finish(occurrence).accepted == _AUDIENCE
    assert stage.reached() == tokens(devices)
    seen.doubled.append(duplicates(stage))


def test_kill_9_at_random_moments_loses_nobody_and_doubles_few(stage: Stage) -> None:
    devices = [*stage.devices(_AUDIENCE // 2), *stage.devices(_AUDIENCE // 2, "IOS")]
    moments, seen = random.Random(_SEED), Seen()
    with drain_forks() as forks:
        for _ in range(_ROUNDS):
            one_round(stage, devices, forks, moments.uniform(0, _LIFE_S), seen)

    report(seen.line())
    assert max(seen.doubled) <= 300
    assert seen.interrupted >= _ROUNDS // 2


def test_a_message_that_must_not_be_doubled_is_not_by_any_kill(stage: Stage) -> None:
    devices = stage.devices(_AUDIENCE)
    moments = random.Random(_SEED)
    with drain_forks() as forks:
        lost = 0
        for _ in range(_ROUNDS_OF_SKIP):
            stage.simulators.reset()
            stage.simulators.set_mode("*", latency_ms=20)
            occurrence = stage.start("ANDROID", in_doubt=InDoubtPolicy.SKIP)
            drain = forks.start()
            time.sleep(moments.uniform(0, _LIFE_S))
            kill_9(drain)
            forks.wait()
            let_lease_lapse(occurrence)
            ledger = finish(occurrence)
            # who is in doubt has an outcome that says so, and is not asked for again
            assert (ledger.targeted, ledger.pending) == (_AUDIENCE, 0)
            assert duplicates(stage) == 0
            assert len(stage.reached()) >= ledger.accepted
            lost += len(tokens(devices) - stage.reached())

    report(
        f"{_ROUNDS_OF_SKIP} times kill -9 with in_doubt=skip: none doubled, {lost} of {_ROUNDS_OF_SKIP * _AUDIENCE:,} "
        "devices not asked for"
    )
