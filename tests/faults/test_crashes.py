"""What is killed, stopped or emptied in mid-campaign costs no device (reliability.md P1, P4, P13)."""

from __future__ import annotations

import os
import signal
import time

import pytest
from django.conf import settings
from django.db import connection

from console import postgres
from messaging.ledger import ledger_of
from messaging.models import Batch
from tests.messaging.processes import report, worker_pids, workers_and_ticker
from tests.messaging.stage import Stage, check_books, fresh, tokens, wait_until

pytestmark = pytest.mark.fault


def duplicates(stage: Stage) -> int:
    counts = stage.requests_by_token()
    return sum(counts.values()) - len(counts)


def is_closed(occurrence: object) -> bool:
    return fresh(occurrence).closed_at is not None  # type: ignore[arg-type]


def test_a_worker_killed_in_mid_campaign_loses_nobody_and_doubles_few(stage: Stage) -> None:
    devices = [*stage.devices(6_000), *stage.devices(4_000, "IOS")]
    stage.simulators.set_mode("*", latency_ms=100)
    with workers_and_ticker() as (group,):
        occurrence = stage.publish("ANDROID", "IOS")
        wait_until(lambda: len(stage.requests_by_token()) > 3_000, 60, "3,000 requests")
        os.kill(worker_pids(group)[0], signal.SIGKILL)
        took = wait_until(lambda: is_closed(occurrence), 90, "the campaign to end")

    report(f"kill -9 of one worker: ended after {took:.1f} s, {duplicates(stage)} duplicates")
    assert took <= 60
    assert check_books(occurrence).accepted == 10_000
    assert stage.reached() == tokens(devices)
    assert duplicates(stage) <= 300


def test_an_idle_worker_killed_is_noticed_and_the_group_started_again(stage: Stage) -> None:
    stage.devices(10)
    with workers_and_ticker() as (group,):
        time.sleep(1.0)  # until they are idle: nothing shows it
        before = worker_pids(group)
        os.kill(before[0], signal.SIGKILL)
        os.kill(before[1], signal.SIGKILL)
        occurrence = stage.publish("ANDROID")
        took = wait_until(lambda: is_closed(occurrence), 90, "the campaign to end")

    report(f"kill -9 of idle workers: a message published then was sent after {took:.1f} s")
    assert took <= 60


def test_two_worker_groups_share_a_campaign_without_a_duplicate(stage: Stage) -> None:
    devices = [*stage.devices(6_000), *stage.devices(4_000, "IOS")]
    stage.simulators.set_mode("*", latency_ms=100)
    with workers_and_ticker(groups=2):
        occurrence = stage.publish("ANDROID", "IOS")
        took = wait_until(lambda: is_closed(occurrence), 60, "the campaign to end")

    groups = {owner.rsplit("/", 2)[0] for owner in Batch.objects.values_list("owner", flat=True)}
    report(f"two groups: {took:.1f} s, {duplicates(stage)} duplicates")
    assert len(groups) == 2
    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)
    assert check_books(occurrence).accepted == 10_000


def test_a_group_told_to_stop_gives_its_work_to_the_other_without_a_duplicate(stage: Stage) -> None:
    devices = stage.devices(8_000)
    stage.simulators.set_mode("*", latency_ms=100)
    with workers_and_ticker(groups=2) as (stopped, _):
        occurrence = stage.publish("ANDROID")
        wait_until(lambda: len(stage.requests_by_token()) > 2_000, 60, "2,000 requests")
        stopped.send_signal(signal.SIGTERM)
        began = time.monotonic()
        stopped.wait(20)
        stop_took = time.monotonic() - began
        took = wait_until(lambda: is_closed(occurrence), 60, "the campaign to end")

    report(f"SIGTERM of a group: {stop_took:.1f} s, campaign {took:.1f} s, {duplicates(stage)} duplicates")
    assert stop_took <= 15
    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)


def test_the_queue_table_emptied_in_mid_campaign_only_rings_again(stage: Stage) -> None:
    devices = stage.devices(8_000)
    stage.simulators.set_mode("*", latency_ms=100)
    with workers_and_ticker():
        occurrence = stage.publish("ANDROID")
        wait_until(lambda: len(stage.requests_by_token()) > 1_000, 60, "1,000 requests")
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM django_q_ormq")
        took = wait_until(lambda: is_closed(occurrence), 60, "the campaign to end")

    report(f"queue emptied: ended after {took:.1f} s, {duplicates(stage)} duplicates")
    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)


def test_postgresql_restarted_in_mid_campaign_loses_nobody(stage: Stage) -> None:
    if not settings.IS_DATABASE_EMBEDDED:
        pytest.skip("not our server to restart")
    devices = stage.devices(10_000)
    stage.simulators.set_mode("*", latency_ms=100)
    with workers_and_ticker():
        occurrence = stage.publish("ANDROID")
        wait_until(lambda: len(stage.requests_by_token()) > 3_000, 60, "3,000 requests")
        connection.close()
        assert postgres._shut_down(settings.DATA_DIR)
        postgres.ensure_running(settings.DATA_DIR, durable=False)
        took = wait_until(lambda: is_closed(occurrence), 120, "the campaign to end")

    report(f"PostgreSQL restarted: ended after {took:.1f} s, {duplicates(stage)} duplicates")
    assert ledger_of(fresh(occurrence)).accepted == 10_000
    assert stage.reached() == tokens(devices)
    assert took <= 60
