"""Bells: which job lands in which queue, and that none says more than whose turn it is."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ

from messaging import queue


def jobs_of(name: str) -> list[tuple[str, tuple[object, ...]]]:
    jobs = [row.task for row in OrmQ.objects.filter(key=name)]
    return [(job["func"], tuple(job["args"])) for job in jobs]


def test_a_drain_is_rung_for_in_the_queue_all_workers_share_and_carries_nothing(db: None) -> None:
    queue.ring_drain()

    assert jobs_of(settings.QUEUE_NAME) == [(queue.DRAIN, ())]


def test_a_beat_is_asked_of_one_group_in_a_queue_of_its_own(db: None) -> None:
    queue.ring_beat("host:1:workers")

    assert jobs_of("host:1:workers") == [(queue.BEAT, ("host:1:workers",))]
    assert jobs_of(settings.QUEUE_NAME) == []


def test_a_bell_rung_in_a_transaction_that_fails_is_not_heard(transactional_db: None) -> None:
    with transaction.atomic():
        queue.ring_drain()
        transaction.set_rollback(True)

    assert queue.waiting_jobs(settings.QUEUE_NAME) == 0


def test_heartbeats_of_groups_that_are_gone_are_forgotten_after_a_day(db: None) -> None:
    queue.ring_beat("gone:1:workers")
    OrmQ.objects.update(lock=timezone.now() - timedelta(days=1, seconds=1))
    queue.ring_beat("host:1:workers")

    queue.forget_stale_jobs()

    assert [row.key for row in OrmQ.objects.all()] == ["host:1:workers"]
