"""Connections cut, held back or swallowed, to PostgreSQL and to a push service: nobody is lost (reliability.md 4)."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote, urlsplit

import pytest
from django.conf import settings
from django.db import connection

from messaging.models import InDoubtPolicy, Occurrence
from messaging.senders import SIMULATOR_FILE
from tests.faults.clarion import duplicates, is_closed, sender
from tests.faults.fault_proxy import FaultProxy, fault_proxy
from tests.messaging.processes import report
from tests.messaging.stage import Stage, announce_simulators, check_books, tokens, wait_until

pytestmark = pytest.mark.fault

_WORKERS = 2
#: a worker has no more than this on the wire of one push service
_ON_WIRE = 200
Fault = Callable[[FaultProxy], None]


def cut_every_two_seconds(proxy: FaultProxy) -> None:
    for _ in range(5):
        proxy.cut()
        time.sleep(2)


def hold_for_10_s(proxy: FaultProxy) -> None:
    proxy.hold()
    time.sleep(10)
    proxy.let_go()


def swallow_for_10_s(proxy: FaultProxy) -> None:
    proxy.hold()
    time.sleep(10)
    proxy.forget()


def fall_for_a_minute(proxy: FaultProxy) -> None:
    proxy.fall()
    time.sleep(60)
    proxy.rise()


def hold_for_longer_than_a_lease(proxy: FaultProxy) -> None:
    proxy.hold()
    time.sleep(45)
    proxy.let_go()


def swallow_for_two_minutes(proxy: FaultProxy) -> None:
    proxy.hold()
    time.sleep(120)
    proxy.forget()


@contextlib.contextmanager
def sender_through(database: FaultProxy) -> Iterator[None]:
    """Workers and a ticker that reach PostgreSQL through the proxy alone."""
    server = connection.settings_dict
    url = f"postgresql://{quote(server['USER'])}@127.0.0.1:{database.port}/{server['NAME']}"
    with sender(workers=_WORKERS, environment={"DATABASE_URL": url}):
        yield


@contextlib.contextmanager
def fcm_behind(stage: Stage) -> Iterator[FaultProxy]:
    """A proxy between the workers and FCM's simulator."""
    port = urlsplit(stage.simulators.urls["fcm"]).port
    assert port is not None
    with fault_proxy(port) as proxy:
        urls = {**stage.simulators.urls, "fcm": f"https://localhost:{proxy.port}"}
        (settings.DATA_DIR / SIMULATOR_FILE).write_text(json.dumps(urls))
        try:
            yield proxy
        finally:
            announce_simulators(stage.simulators)


def through_the_fault(stage: Stage, occurrence: Occurrence, proxy: FaultProxy, fault: Fault) -> float:
    """Let the campaign run, let the fault happen, and wait for the end: seconds after the fault was over."""
    wait_until(lambda: len(stage.requests_by_token()) > 1_000, 60, "1,000 requests")
    fault(proxy)
    over = time.monotonic()
    wait_until(lambda: is_closed(occurrence), 120, "the campaign to end")
    return time.monotonic() - over


@pytest.mark.parametrize("fault", [cut_every_two_seconds, hold_for_10_s, swallow_for_10_s])
def test_trouble_on_the_way_to_postgresql_neither_loses_nor_doubles_anybody(stage: Stage, fault: Fault) -> None:
    devices = [*stage.devices(7_000), *stage.devices(7_000, "IOS")]
    stage.simulators.set_mode("*", latency_ms=200)
    server = connection.settings_dict
    with fault_proxy(f"{server['HOST']}/.s.PGSQL.{server['PORT']}") as proxy, sender_through(proxy):
        occurrence = stage.publish("ANDROID", "IOS")
        took = through_the_fault(stage, occurrence, proxy, fault)

    report(f"PostgreSQL, {fault.__name__}: ended {took:.1f} s later, {duplicates(stage)} duplicates")
    assert took <= 60
    assert check_books(occurrence).accepted == len(devices)
    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)


@pytest.mark.parametrize("fault", [fall_for_a_minute, hold_for_longer_than_a_lease, swallow_for_two_minutes])
def test_a_database_away_for_longer_than_a_lease_neither_loses_nor_doubles_anybody(stage: Stage, fault: Fault) -> None:
    """Every lease has run out when it is back, and every worker lives: each writes what it holds before others may."""
    devices = stage.devices(7_000)
    stage.simulators.set_mode("*", latency_ms=200)
    server = connection.settings_dict
    with fault_proxy(f"{server['HOST']}/.s.PGSQL.{server['PORT']}") as proxy, sender_through(proxy):
        occurrence = stage.publish("ANDROID")
        took = through_the_fault(stage, occurrence, proxy, fault)

    report(f"PostgreSQL, {fault.__name__}: ended {took:.1f} s later, {duplicates(stage)} duplicates")
    assert took <= 60
    assert check_books(occurrence).accepted == len(devices)
    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)


def test_a_push_service_that_stalls_for_ten_seconds_doubles_nobody(stage: Stage) -> None:
    devices = stage.devices(8_000)
    stage.simulators.set_mode("*", latency_ms=100)
    with fcm_behind(stage) as proxy, sender(workers=_WORKERS):
        occurrence = stage.publish("ANDROID")
        took = through_the_fault(stage, occurrence, proxy, hold_for_10_s)

    report(f"FCM, hold_for_10_s: ended {took:.1f} s later, {duplicates(stage)} duplicates")
    assert took <= 60
    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)


@pytest.mark.parametrize(("fault", "cuts"), [(cut_every_two_seconds, 5), (swallow_for_10_s, 1)])
def test_requests_lost_with_their_connection_are_sent_again(stage: Stage, fault: Fault, cuts: int) -> None:
    devices = stage.devices(8_000)
    stage.simulators.set_mode("*", latency_ms=100)
    with fcm_behind(stage) as proxy, sender(workers=_WORKERS):
        occurrence = stage.publish("ANDROID")
        took = through_the_fault(stage, occurrence, proxy, fault)

    report(f"FCM, {fault.__name__}, resend: ended {took:.1f} s later, {duplicates(stage)} sent again")
    assert took <= 60
    assert check_books(occurrence).accepted == len(devices)
    assert stage.reached() == tokens(devices)
    assert duplicates(stage) <= cuts * _WORKERS * _ON_WIRE


def test_a_message_that_must_not_be_doubled_is_not_when_connections_are_cut(stage: Stage) -> None:
    devices = stage.devices(8_000)
    stage.simulators.set_mode("*", latency_ms=100)
    with fcm_behind(stage) as proxy, sender(workers=_WORKERS):
        occurrence = stage.publish("ANDROID", in_doubt=InDoubtPolicy.SKIP)
        took = through_the_fault(stage, occurrence, proxy, cut_every_two_seconds)

    ledger = check_books(occurrence)
    report(f"FCM, connections cut, skip: ended {took:.1f} s later, {ledger.failed} of 8,000 unknown")
    assert took <= 60
    assert duplicates(stage) == 0
    assert ledger.accepted + ledger.failed == len(devices)
    assert ledger.failed <= 5 * _WORKERS * _ON_WIRE
