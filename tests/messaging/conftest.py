"""The push services of these tests: the real simulators over TLS, one set for the session, reset for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings

from devices.models import Application
from devices.push_services import PushService
from messaging.providers.http_transport import HttpTransport
from messaging.providers.transport_rules import TransportRules
from messaging.secrets import store_credential
from messaging.simulators.accounts import demo_accounts
from messaging.simulators.runner import SimulatorHandle, start_in_thread
from tests.messaging.drain_nursery import DrainNursery
from tests.messaging.h2_server import Certificate, H2Server, make_certificate
from tests.messaging.stage import Stage, announce_simulators
from tests.messaging.transport_parts import OpenTransport


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


@pytest.fixture(scope="session")
def nursery(django_db_setup: None, simulator_thread: SimulatorHandle) -> Iterator[DrainNursery]:
    """Where drains in processes of their own come from."""
    with DrainNursery() as nursery:
        yield nursery


@pytest.fixture
def stage(transactional_db: None, simulators: SimulatorHandle) -> Stage:
    """An application with credentials for every push service; what is committed is seen by other connections."""
    application = Application.objects.create(name="Stage", is_simulated=True)
    for service, values in demo_accounts(settings.DATA_DIR, simulators.urls).items():
        store_credential(application, PushService(service), values)
    return Stage(application, simulators)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for localhost that is its own CA."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def server(certificate: Certificate) -> Iterator[H2Server]:
    """A plain HTTP/2 server for the transport."""
    server = H2Server(certificate).start()
    yield server
    server.stop()


@pytest.fixture
def rules(certificate: Certificate) -> TransportRules:
    """Rules that lead to `server`, over one connection."""
    return TransportRules(ca_file=certificate.file, allow_loopback=True, deadline_s=5.0, max_connections=1)


@pytest.fixture
def open_transport() -> Iterator[OpenTransport]:
    """Opens transports and closes them after the test."""
    opened: list[HttpTransport] = []

    def open_one(rules: TransportRules) -> HttpTransport:
        opened.append(HttpTransport(rules))
        return opened[-1]

    yield open_one
    for transport in opened:
        transport.close()
