"""Push services in trouble, through a whole drain: no downgrade, no redirect, nobody lost (F-22, F-25, F-34)."""

from __future__ import annotations

import json
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator

import pytest
from django.conf import settings

from devices.push_services import PushService
from messaging.drain import Drain
from messaging.ledger import failure_groups, ledger_of
from messaging.models import InDoubtPolicy, Lane, LaneState
from messaging.secrets import store_credential
from messaging.senders import SIMULATOR_FILE
from messaging.simulators.accounts import demo_accounts
from tests.messaging.stage import Stage, active, announce_simulators, finish, fresh, tokens


@pytest.fixture
def plaintext_port() -> Iterator[int]:
    """A server that answers in plain HTTP whatever it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_answer_in_plain_text, args=(listening,), daemon=True).start()
        yield listening.getsockname()[1]


def _answer_in_plain_text(listening: socket.socket) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return  # the test is over
        with client:
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def move_fcm_to(stage: Stage, port: int) -> None:
    urls = {**stage.simulators.urls, "fcm": f"https://localhost:{port}"}
    (settings.DATA_DIR / SIMULATOR_FILE).write_text(json.dumps(urls))


@pytest.mark.parametrize("certificate", ["expired", "wrong_host", "untrusted", "plaintext"])
def test_a_push_service_that_cannot_prove_itself_pauses_its_lane_alone(
    stage: Stage, plaintext_port: int, certificate: str
) -> None:
    android, ios = stage.devices(40), stage.devices(40, "IOS")
    if certificate == "plaintext":
        move_fcm_to(stage, plaintext_port)
    else:
        stage.simulators.set_mode("fcm", certificate=certificate)
    occurrence = stage.start("ANDROID", "IOS")
    Drain().run()

    lane = Lane.objects.get(push_service="fcm")
    assert lane.state == LaneState.PAUSED
    assert "TLS" in lane.paused_because or "certificate" in lane.paused_because
    assert stage.reached() == tokens(ios)
    assert ledger_of(fresh(occurrence)).pending == len(android)

    announce_simulators(stage.simulators)
    stage.simulators.set_mode("fcm")
    credential = demo_accounts(settings.DATA_DIR, stage.simulators.urls)["fcm"]
    store_credential(stage.application, PushService.FCM, credential)
    assert finish(occurrence).accepted == 80
    assert active(android) == 40
    assert stage.requests_by_token() == dict.fromkeys(tokens([*android, *ios]), 1)


@pytest.mark.parametrize("status", ["301", "302", "307", "308"])
def test_no_push_service_can_send_us_elsewhere(stage: Stage, status: str) -> None:
    devices = [device for name in ("ANDROID", "IOS", "WP", "WEB") for device in stage.devices(2, name, status)]

    occurrence = stage.start("ANDROID", "IOS", "WP", "WEB")
    Drain().run()

    assert stage.simulators.counts()["followed_redirects"] == 0
    assert stage.reached() == tokens(devices)
    assert ledger_of(fresh(occurrence)).accepted == 0
    assert active(devices) == len(devices)


@pytest.mark.parametrize("status", ["302", "307"])
def test_a_token_endpoint_cannot_send_our_assertion_elsewhere(stage: Stage, status: str) -> None:
    stage.devices(2)
    stage.simulators.set_mode("google_token", status)

    occurrence = stage.start("ANDROID")
    Drain().run()

    assert stage.simulators.counts()["followed_redirects"] == 0
    assert stage.requests() == []
    assert ledger_of(fresh(occurrence)).pending == 2


def test_a_request_in_doubt_is_sent_again_so_that_it_replaces_the_first_on_the_screen(stage: Stage) -> None:
    devices = [device for name in ("ANDROID", "IOS", "WEB") for device in stage.devices(3, name, "resetx1")]

    occurrence = stage.start("ANDROID", "IOS", "WEB")
    assert finish(occurrence).accepted == len(devices)

    sent = defaultdict(list)
    for entry in stage.requests():
        sent[entry["service"], entry["token"]].append(entry)
    assert {len(requests) for requests in sent.values()} == {2}
    for (service, _), (first, second) in sent.items():
        assert _identity(service, first) == _identity(service, second)
        assert _identity(service, first)


def _identity(service: str, entry: dict) -> tuple[str, ...]:  # type: ignore[type-arg]
    """What makes the second replace the first: reliability.md P6."""
    if service == "apns":
        return entry["headers"]["apns-id"], entry["headers"]["apns-collapse-id"]
    if service == "fcm":
        return (entry["notification"]["message"]["android"]["notification"]["tag"],)
    return entry["headers"]["topic"], entry["notification"]["tag"]


def test_a_request_in_doubt_ends_as_unknown_where_nothing_may_be_doubled(stage: Stage) -> None:
    devices = [device for name in ("ANDROID", "IOS", "WEB") for device in stage.devices(3, name, "resetx1")]

    occurrence = stage.start("ANDROID", "IOS", "WEB", in_doubt=InDoubtPolicy.SKIP)
    ledger = finish(occurrence)

    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)
    assert (ledger.accepted, ledger.failed) == (0, len(devices))
    assert {str(group.outcome) for group in failure_groups(fresh(occurrence))} == {"unknown"}
