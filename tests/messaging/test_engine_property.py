"""Whatever is published, edited, steered, killed or cut, in any order: every device is accounted for at any moment."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from django.conf import settings as django_settings
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from devices.models import Application
from devices.push_services import PushService
from messaging.secrets import store_credential
from messaging.simulators.accounts import demo_accounts
from messaging.simulators.runner import SimulatorHandle
from tests.messaging.drain_nursery import DrainNursery
from tests.messaging.engine_machine import EngineMachine
from tests.messaging.engine_stage import Drains, EngineStage
from tests.messaging.processes import report
from tests.messaging.stage import Stage

#: an example is bound to real processes and to the clock: how long it takes, and what was saved of it, says nothing
_COMMON = settings(deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck))


@pytest.fixture
def new_stage(transactional_db: None, simulators: SimulatorHandle, nursery: DrainNursery) -> Callable[[], EngineStage]:
    """Makes an application for each life."""

    def make() -> EngineStage:
        application = Application.objects.create(name="Any order", is_simulated=True)
        for service, values in demo_accounts(django_settings.DATA_DIR, simulators.urls).items():
            store_credential(application, PushService(service), values)
        return EngineStage(Stage(application, simulators), Drains(nursery))

    return make


def _machine_on(new_stage: Callable[[], EngineStage]) -> type[EngineMachine]:
    class OnStage(EngineMachine):
        def __init__(self) -> None:
            super().__init__(new_stage())

    return OnStage


def test_every_device_is_accounted_for_in_any_order_of_events(new_stage: Callable[[], EngineStage]) -> None:
    few = settings(_COMMON, derandomize=True, phases=[Phase.generate], max_examples=6, stateful_step_count=30)
    run_state_machine_as_test(_machine_on(new_stage), settings=few)


@pytest.mark.fault
def test_every_device_is_accounted_for_in_many_lives(new_stage: Callable[[], EngineStage]) -> None:
    # In rounds: once it has seen ten examples, hypothesis spends most of its time on variations of them
    ten = settings(_COMMON, max_examples=10, stateful_step_count=50)
    first = int(os.environ.get("CLARION_TEST_SEED", "0"))
    for number in range(first, first + int(os.environ.get("CLARION_TEST_ROUNDS", "6"))):
        report(f"round {number}")
        run_state_machine_as_test(seed(number)(_machine_on(new_stage)), settings=ten)
