"""GOAWAY every 500 requests costs nobody and doubles nobody, through the whole path and by the provider's own log.

The judge of a transport: run it after any change to messaging/providers/transport*.py.

    .venv/bin/python -m pytest -m fault -s tests/faults/test_goaway.py
"""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.models import Application, Channel
from devices.push_services import OsMask, PushService
from messaging.ledger import ledger_of
from messaging.models import Lane, Occurrence
from messaging.publishing import Publisher, PublishRequest, publish
from messaging.secrets import store_credential
from messaging.simulators.accounts import demo_accounts
from tests.benchmarks.populations import populate
from tests.benchmarks.provider_stand_in import INSTALL, find_nginx
from tests.faults.clarion import duplicates, is_closed, sender
from tests.faults.goaway_server import GoawayServer, goaway_server
from tests.messaging.processes import report
from tests.messaging.stage import Stage, check_books, fresh, tokens, wait_until

pytestmark = pytest.mark.fault

_DEVICES = 100_000
_SERVICES = (PushService.FCM, PushService.APNS)
_EVERY = 500


def application_of(server: GoawayServer) -> Application:
    application = Application.objects.create(name="Goaway")
    accounts = demo_accounts(server.folder, {"google_token": f"{server.url}/token"})
    for service in (PushService.APNS, PushService.FCM):
        store_credential(application, service, accounts[service.value])
    Lane.objects.create(application=application, push_service=PushService.FCM, requests_per_second=0)
    return application


def publish_to(channel: Channel) -> Occurrence:
    request = PublishRequest(
        channel_name=channel.name,
        body="Hello",
        headers={"android-content-text": "Hello", "ios-alert": "Hello"},
        push_broadcast=OsMask.ALL,
    )
    message = publish(application=channel.application, request=request, publisher=Publisher(may_publish=True))
    return message.occurrences.get()


def test_a_goaway_every_500_requests_loses_and_doubles_none_of_100000(transactional_db: None, tmp_path: Path) -> None:
    nginx = find_nginx()
    if nginx is None:
        pytest.skip(f"nginx is needed: {INSTALL}")
    with goaway_server(nginx, tmp_path / "nginx", every=_EVERY) as server:
        channel = populate(application_of(server), "everybody", _SERVICES, devices=_DEVICES)
        with sender(environment=server.environment):
            occurrence = publish_to(channel)
            took = wait_until(lambda: is_closed(occurrence), 900, "the campaign to end")
    arrivals = server.arrivals()

    report(
        f"GOAWAY every {_EVERY}, {' + '.join(_SERVICES)}: {arrivals.total:,} requests for {_DEVICES:,} devices over "
        f"{len(arrivals.by_connection)} connections in {took:.1f} s"
    )
    assert ledger_of(fresh(occurrence)).accepted == _DEVICES
    assert arrivals.total == _DEVICES  # as each was accepted, none was asked for twice
    apns = {path: count for path, count in arrivals.by_path.items() if path.startswith("/3/device/")}
    assert len(apns) == _DEVICES // len(_SERVICES)
    assert set(apns.values()) == {1}
    assert max(arrivals.by_connection.values()) <= _EVERY


def test_a_goaway_every_200_requests_of_the_simulators_doubles_nobody(stage: Stage) -> None:
    """Here every FCM token is in the log as well, and many a stream is above the last-stream-id."""
    devices = [*stage.devices(4_000), *stage.devices(4_000, "IOS")]
    stage.simulators.set_mode("*", goaway_every=200, latency_ms=20)
    with sender():
        occurrence = stage.publish("ANDROID", "IOS")
        took = wait_until(lambda: is_closed(occurrence), 90, "the campaign to end")

    connections = {entry["connection"] for entry in stage.requests()}
    report(f"GOAWAY every 200 at the simulators: {took:.1f} s, {len(connections)} connections")
    assert check_books(occurrence).accepted == len(devices)
    assert stage.reached() == tokens(devices)
    assert duplicates(stage) == 0
    assert len(connections) >= len(devices) / 200
