"""Signs of life of tickers and worker groups, by the database's clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from messaging import heartbeat
from messaging.models import WorkerGroup


def test_workers_of_silent_groups_do_not_count(db: None) -> None:
    heartbeat.announce("a:1:workers", kind="workers", workers=2)
    heartbeat.announce("b:1:workers", kind="workers", workers=3)
    heartbeat.announce("b:2:ticker", kind="ticker")
    assert heartbeat.live_workers() == 5

    WorkerGroup.objects.filter(name="a:1:workers").update(seen_at=Now() - timedelta(seconds=21))

    assert heartbeat.live_workers() == 3


def test_a_group_learns_that_it_is_to_stop(db: None) -> None:
    heartbeat.announce("a:1:workers", kind="workers", workers=2)
    assert not heartbeat.seen("a:1:workers")

    heartbeat.request_stop("a:1:workers")

    assert heartbeat.seen("a:1:workers")
    heartbeat.withdraw("a:1:workers")
    assert heartbeat.silence("a:1:workers") is None


def test_groups_silent_for_a_day_are_forgotten(db: None) -> None:
    heartbeat.announce("old:1:workers", kind="workers")
    WorkerGroup.objects.update(seen_at=Now() - timedelta(days=2))

    heartbeat.announce("new:1:workers", kind="workers")

    assert list(WorkerGroup.objects.values_list("name", flat=True)) == ["new:1:workers"]


def test_the_name_of_a_group_fits_its_column_whatever_the_host_is_called() -> None:
    limit = WorkerGroup._meta.get_field("name").max_length
    host, _, rest = heartbeat.new_name("workers").partition(":")

    assert limit is not None
    assert len(host) <= 24
    assert 24 + len(":4194304") + len(rest.lstrip("0123456789")) + len("/4194304/99999") <= limit


def test_no_two_groups_have_the_same_name() -> None:
    assert heartbeat.new_name("workers") != heartbeat.new_name("workers")


def seen_since(name: str) -> timedelta:
    """How long ago the time began in which the group was seen without a gap."""
    row = WorkerGroup.objects.annotate(now=Now()).get(name=name)
    return row.now - row.seen_since


def test_a_group_that_keeps_giving_signs_of_life_has_been_seen_since_it_began(db: None) -> None:
    heartbeat.announce("a:1:workers", kind="workers")
    WorkerGroup.objects.update(seen_at=Now() - timedelta(seconds=10), seen_since=Now() - timedelta(hours=1))

    heartbeat.seen("a:1:workers")
    heartbeat.announce("a:1:workers", kind="workers")

    assert seen_since("a:1:workers") >= timedelta(hours=1)


@pytest.mark.parametrize("sign", [heartbeat.seen, lambda name: heartbeat.announce(name, kind="workers")])
def test_after_a_gap_a_group_is_seen_since_its_return(db: None, sign: Callable[[str], object]) -> None:
    heartbeat.announce("a:1:workers", kind="workers")
    WorkerGroup.objects.update(seen_at=Now() - timedelta(seconds=16), seen_since=Now() - timedelta(hours=1))

    sign("a:1:workers")

    assert seen_since("a:1:workers") < timedelta(seconds=5)
