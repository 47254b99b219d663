"""Background jobs: one that hangs must not hold its worker for ever."""

from __future__ import annotations

import signal

import pytest

from messaging import jobs
from messaging.drain import Drain
from tests.messaging.stage import Stage

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_drain_says_each_second_that_it_goes_on(stage: Stage) -> None:
    stage.devices(1)
    stage.simulators.set_mode("fcm", latency_ms=2_500)
    stage.start("ANDROID")
    said: list[bool] = []

    Drain(alive=lambda: said.append(True)).run()

    assert 2 <= len(said) <= 6


def test_a_job_that_ended_leaves_no_alarm_that_would_end_the_worker(stage: Stage) -> None:
    stage.devices(1)
    stage.simulators.set_mode("fcm", latency_ms=1_500)
    stage.start("ANDROID")

    jobs.drain()

    assert signal.alarm(0) == 0
