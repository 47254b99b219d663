"""Processes stopped, continued, told to end or killed with their whole group (reliability.md P3, P4, P13)."""

from __future__ import annotations

import os
import signal
import time

import pytest

from messaging.batches import LEASE_S
from messaging.models import Batch, Occurrence
from tests.faults.clarion import Process, duplicates, family_of, is_closed, kill_all, send_signal, sender
from tests.messaging.processes import children_of, is_running, report, worker_pids
from tests.messaging.stage import Stage, check_books, tokens, wait_until

pytestmark = pytest.mark.fault

#: what a killed or fenced worker may double (reliability.md P4)
_DOUBLED_AT_MOST = 300


def under_way(stage: Stage, requests: int = 1_500) -> Occurrence:
    """A campaign of which so many requests have been seen."""
    occurrence = stage.publish("ANDROID")
    wait_until(lambda: len(stage.requests_by_token()) >= requests, 60, f"{requests} requests")
    return occurrence


def end_of(occurrence: Occurrence, since: float, what: str, stage: Stage) -> float:
    """Wait for the campaign's end; seconds since the fault was over (monotonic clock), reported with the duplicates."""
    wait_until(lambda: is_closed(occurrence), 120, "the campaign to end")
    took = time.monotonic() - since
    report(f"{what}: ended {took:.1f} s later, {duplicates(stage)} duplicates")
    return took


def cluster_of(group: Process) -> int:
    """The django-q2 cluster's main process, which leads a process group of its own."""
    (cluster,) = children_of(group.pid)
    return cluster


def busy_worker(group: Process) -> int:
    """A worker that holds batches now."""
    owners = Batch.objects.filter(state="sending").values_list("owner", flat=True)
    busy = {int(owner.rsplit("/", 2)[1]) for owner in owners} & set(worker_pids(group))
    return min(busy)


def test_a_worker_that_stands_still_for_longer_than_its_lease_is_fenced(stage: Stage) -> None:
    devices = stage.devices(8_000)
    stage.simulators.set_mode("fcm", latency_ms=100)
    with sender() as ((group,), _):
        occurrence = under_way(stage)
        stopped = busy_worker(group)
        os.kill(stopped, signal.SIGSTOP)
        time.sleep(LEASE_S + 3)
        os.kill(stopped, signal.SIGCONT)
        took = end_of(occurrence, time.monotonic(), f"a worker stopped for {LEASE_S + 3:.0f} s", stage)
        time.sleep(2)  # what the continued worker would still do

    assert took <= 60
    assert check_books(occurrence).accepted == len(devices)
    assert stage.reached() == tokens(devices)
    assert duplicates(stage) <= _DOUBLED_AT_MOST


def test_a_worker_that_stands_still_for_less_than_its_lease_doubles_nobody(stage: Stage) -> None:
    devices = stage.devices(8_000)
    stage.simulators.set_mode("fcm", latency_ms=100)
    with sender() as ((group,), _):
        occurrence = under_way(stage)
        stopped = busy_worker(group)
        os.kill(stopped, signal.SIGSTOP)
        time.sleep(10)
        os.kill(stopped, signal.SIGCONT)
        took = end_of(occurrence, time.monotonic(), "a worker stopped for 10 s", stage)

    assert took <= 60
    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)


def test_a_ticker_that_stands_still_is_replaced_by_the_other(stage: Stage) -> None:
    devices = stage.devices(500)
    with sender(tickers=2) as (_, tickers):
        for stopped in tickers:
            stopped.send_signal(signal.SIGSTOP)
            occurrence = stage.publish("ANDROID")
            took = wait_until(lambda o=occurrence: is_closed(o), 60, "the campaign to end")  # type: ignore[misc]
            stopped.send_signal(signal.SIGCONT)
            report(f"one of two tickers stopped: a message published then ended after {took:.1f} s")
            assert took <= 10

    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 2)


def test_the_only_ticker_continued_sends_what_was_published_meanwhile(stage: Stage) -> None:
    devices = stage.devices(500)
    with sender() as (_, (ticker,)):
        ticker.send_signal(signal.SIGSTOP)
        occurrence = stage.publish("ANDROID")
        time.sleep(5)
        assert stage.requests() == []
        ticker.send_signal(signal.SIGCONT)
        took = end_of(occurrence, time.monotonic(), "the only ticker stopped for 5 s", stage)

    assert took <= 10
    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)


@pytest.mark.parametrize("part", ["main process", "guard"])
def test_a_cluster_whose_overseer_stands_still_goes_on_sending(stage: Stage, part: str) -> None:
    devices = stage.devices(8_000)
    stage.simulators.set_mode("fcm", latency_ms=100)
    with sender() as ((group,), _):
        occurrence = under_way(stage)
        overseer = cluster_of(group) if part == "main process" else children_of(cluster_of(group))[0]
        os.kill(overseer, signal.SIGSTOP)
        took = end_of(occurrence, time.monotonic(), f"the cluster's {part} stopped", stage)
        send_signal([overseer], signal.SIGCONT)

    assert took <= 60
    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_whole_cluster_costs_no_device(stage: Stage, number: signal.Signals) -> None:
    devices = stage.devices(8_000)
    stage.simulators.set_mode("fcm", latency_ms=100)
    with sender() as ((group,), _):
        occurrence = under_way(stage)
        os.killpg(cluster_of(group), number)
        took = end_of(occurrence, time.monotonic(), f"{number.name} to the cluster's process group", stage)

    assert took <= 60
    assert check_books(occurrence).accepted == len(devices)
    assert stage.reached() == tokens(devices)
    assert duplicates(stage) <= (0 if number is signal.SIGTERM else 2 * _DOUBLED_AT_MOST)


def test_a_watchdog_killed_takes_its_workers_along_and_its_successor_goes_on(stage: Stage) -> None:
    devices = stage.devices(8_000)
    stage.simulators.set_mode("fcm", latency_ms=100)
    with sender() as ((group,), _):
        occurrence = under_way(stage)
        family = family_of(group)
        group.kill()
        killed = time.monotonic()
        with sender(tickers=0):
            took = end_of(occurrence, killed, "kill -9 of the watchdog", stage)
            # its workers finish what they have on the wire, and may be done with the campaign before they are gone
            wait_until(lambda: not any(map(is_running, family[1:])), 20, "the killed watchdog's workers to be gone")

    assert took <= 60
    assert check_books(occurrence).accepted == len(devices)
    assert stage.reached() == tokens(devices)
    assert duplicates(stage) <= 2 * _DOUBLED_AT_MOST


def test_everything_killed_and_started_again_resumes_by_itself(stage: Stage) -> None:
    devices = stage.devices(8_000)
    stage.simulators.set_mode("fcm", latency_ms=100)
    with sender() as (groups, tickers):
        occurrence = under_way(stage)
        kill_all([*groups, *tickers])
    with sender():
        took = end_of(occurrence, time.monotonic(), "everything killed, and started again", stage)

    assert took <= 60
    assert check_books(occurrence).accepted == len(devices)
    assert stage.reached() == tokens(devices)
    assert duplicates(stage) <= 2 * _DOUBLED_AT_MOST
