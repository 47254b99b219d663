"""The job queue: each job goes to one pusher and comes again when nobody finished it; a group has its own queue."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ

from messaging.broker import PostgresBroker
from tests.messaging.stage import in_thread, in_threads

QUEUE = "clarion"


@pytest.fixture
def broker(transactional_db: None) -> PostgresBroker:
    return PostgresBroker(QUEUE)


def take_all(broker: PostgresBroker) -> list[int]:
    taken: list[int] = []
    while jobs := broker._take():
        taken += [pk for pk, _ in jobs]
    return taken


def test_two_pushers_never_take_the_same_job(broker: PostgresBroker) -> None:
    stored = [broker.enqueue(f"job {n}") for n in range(200)]

    taken = in_threads(lambda: take_all(PostgresBroker(QUEUE)), 4)

    assert sorted(pk for share in taken for pk in share) == stored


def test_jobs_are_taken_in_the_order_they_came(broker: PostgresBroker) -> None:
    stored = [broker.enqueue(f"job {n}") for n in range(5)]

    assert take_all(broker) == stored


def test_a_job_that_nobody_finished_comes_again_after_the_retry_time(broker: PostgresBroker) -> None:
    stored = broker.enqueue("job")
    assert take_all(broker) == [stored]
    assert take_all(broker) == []
    OrmQ.objects.update(lock=timezone.now() - timedelta(seconds=1))  # 55 s later

    assert take_all(broker) == [stored]


def test_a_finished_job_never_comes_again(broker: PostgresBroker) -> None:
    stored = broker.enqueue("job")
    take_all(broker)

    broker.acknowledge(stored)

    assert not OrmQ.objects.exists()


def test_a_waiting_pusher_hears_of_a_job_when_it_is_committed(broker: PostgresBroker) -> None:
    broker._listen()
    try:
        with transaction.atomic():
            in_thread(lambda: PostgresBroker(QUEUE).enqueue("job"))
        began = time.monotonic()
        assert [payload for _, payload in broker.dequeue()] == ["job"]
        assert time.monotonic() - began < 0.9
    finally:
        assert broker._listener is not None
        broker._listener.close()


def test_an_empty_queue_is_waited_on_for_a_second(broker: PostgresBroker) -> None:
    try:
        assert broker.dequeue() == []
    finally:
        assert broker._listener is not None
        broker._listener.close()


def test_a_group_takes_its_own_jobs_and_the_common_ones_but_no_other_groups(
    broker: PostgresBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = broker.enqueue("for anybody")
    own = PostgresBroker("host:1:workers").enqueue("for group 1")
    PostgresBroker("host:2:workers").enqueue("for group 2")
    monkeypatch.setenv("CLARION_WORKER_GROUP", "host:1:workers")

    assert take_all(broker) == [common, own]


def test_sizes_tell_waiting_jobs_from_taken_ones(broker: PostgresBroker) -> None:
    for n in range(3):
        broker.enqueue(f"job {n}")
    broker._take()

    assert (broker.queue_size(), broker.lock_size()) == (2, 1)
    assert broker.purge_queue() == 3
