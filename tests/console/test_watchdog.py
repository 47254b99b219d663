"""The watchdog: a cluster that falls or hangs is started again, within the time a campaign may stand still."""

from __future__ import annotations

import os
import signal

import pytest

from messaging.models import WorkerGroup
from tests.messaging.conftest import simulator_thread, simulators, stage
from tests.messaging.processes import children_of, command, is_running, worker_pids, workers_and_ticker
from tests.messaging.stage import Stage, fresh, wait_until

__all__ = ["simulator_thread", "simulators", "stage"]

pytestmark = pytest.mark.fault


def test_a_cluster_that_falls_is_started_again(stage: Stage) -> None:
    stage.devices(5)
    with workers_and_ticker() as (group,):
        (cluster,) = children_of(group.pid)
        os.kill(cluster, signal.SIGKILL)
        wait_until(lambda: children_of(group.pid) not in ([], [cluster]), 15, "another cluster")
        occurrence = stage.publish("ANDROID")
        wait_until(lambda: fresh(occurrence).closed_at is not None, 30, "the campaign to end")


def test_a_cluster_whose_main_process_alone_survives_a_signal_is_started_again_at_once(stage: Stage) -> None:
    """What `kill -TERM -pgid` leaves of django-q2: a main process that waits for ever for a guard that is gone."""
    stage.devices(5)
    with workers_and_ticker() as (group,):
        (cluster,) = children_of(group.pid)
        wait_until(lambda: any(map(is_running, children_of(cluster))), 30, "the guard")
        os.killpg(cluster, signal.SIGTERM)
        wait_until(lambda: children_of(group.pid) not in ([], [cluster]), 10, "another cluster")
        occurrence = stage.publish("ANDROID")
        wait_until(lambda: fresh(occurrence).closed_at is not None, 30, "the campaign to end")


def test_a_cluster_that_is_stopped_and_silent_is_replaced(stage: Stage) -> None:
    stage.devices(5)
    with workers_and_ticker() as (group,):
        (cluster,) = children_of(group.pid)
        for pid in worker_pids(group):
            os.kill(pid, signal.SIGSTOP)
        occurrence = stage.publish("ANDROID")
        wait_until(lambda: fresh(occurrence).closed_at is not None, 70, "the campaign to end")
        assert not is_running(cluster)


def test_workers_whose_watchdog_is_killed_end_too(stage: Stage) -> None:
    with command("workers") as group:
        wait_until(WorkerGroup.objects.exists, 30, "the group")
        wait_until(lambda: bool(children_of(group.pid)), 30, "the cluster")
        (cluster,) = children_of(group.pid)
        wait_until(lambda: bool(children_of(cluster)), 30, "the guard")
        group.kill()
        wait_until(lambda: not is_running(cluster), 20, "the cluster's end")
