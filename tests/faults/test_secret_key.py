"""SECRET_KEY changed between two runs: jobs in the queue become unreadable, and cost no device (reliability.md 0.2)."""

from __future__ import annotations

import secrets

import pytest
from django.conf import settings
from django_q.models import OrmQ

from messaging import queue
from tests.faults.clarion import duplicates, is_closed, kill_all, sender
from tests.messaging.processes import report
from tests.messaging.stage import Stage, check_books, tokens, wait_until

pytestmark = pytest.mark.fault


def test_jobs_of_another_secret_key_are_rung_for_anew(stage: Stage) -> None:
    devices = stage.devices(4_000)
    stage.simulators.set_mode("fcm", latency_ms=100)
    with sender(environment={"SECRET_KEY": secrets.token_hex(32)}) as (groups, tickers):
        occurrence = stage.publish("ANDROID")
        wait_until(lambda: len(stage.requests_by_token()) > 1_000, 60, "1,000 requests")
        kill_all([*groups, *tickers])
    for _ in range(10):  # signed with a third key: nobody can read them
        queue.ring_drain()
    waiting = set(OrmQ.objects.filter(key=settings.QUEUE_NAME).values_list("pk", flat=True))
    with sender(environment={"SECRET_KEY": secrets.token_hex(32)}):
        took = wait_until(lambda: is_closed(occurrence), 90, "the campaign to end")
        wait_until(lambda: not OrmQ.objects.filter(pk__in=waiting).exists(), 60, "the queue to be rid of them")

    report(
        f"SECRET_KEY changed with {len(waiting)} jobs queued: ended after {took:.1f} s, {duplicates(stage)} duplicates"
    )
    assert len(waiting) >= 10
    assert took <= 60
    assert check_books(occurrence).accepted == len(devices)
    assert stage.reached() == tokens(devices)
    assert duplicates(stage) <= 2 * 300
