"""The push services of these tests: the real simulators over TLS, one set for the session, reset for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings

from devices.models import Application
from devices.push_services import PushService
from messaging.secrets import store_credential
from messaging.simulators.accounts import demo_accounts
from messaging.simulators.runner import SimulatorHandle, start_in_thread
from tests.messaging.stage import Stage, announce_simulators


@pytest.fixture(scope="session")
def simulator_thread() -> Iterator[SimulatorHandle]:
    """Simulators in a thread of the test process."""
    handle = start_in_thread(settings.DATA_DIR)
    announce_simulators(handle)
    yield handle
    handle.stop()


@pytest.fixture
def simulators(simulator_thread: SimulatorHandle) -> SimulatorHandle:
    """The same, in ordinary modes and with an empty log."""
    simulator_thread.reset()
    return simulator_thread


@pytest.fixture
def stage(transactional_db: None, simulators: SimulatorHandle) -> Stage:
    """An application with credentials for every push service; what is committed is seen by other connections."""
    application = Application.objects.create(name="Stage", is_simulated=True)
    for service, values in demo_accounts(settings.DATA_DIR, simulators.urls).items():
        store_credential(application, PushService(service), values)
    return Stage(application, simulators)
