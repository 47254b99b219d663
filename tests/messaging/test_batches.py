"""A batch belongs to whoever holds its lease, and every claim of it is a new attempt."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from messaging import batches, fanout, heartbeat
from messaging.models import Batch, Occurrence, WorkerGroup
from tests.messaging.stage import Stage, in_threads, let_lease_lapse


def planned(stage: Stage, devices: int = 4) -> Occurrence:
    stage.devices(devices)
    occurrence = stage.start("ANDROID")
    fanout.plan_next_page()
    return occurrence


def test_a_batch_is_claimed_by_one_of_many(stage: Stage) -> None:
    planned(stage)

    claims = in_threads(lambda: batches.claim("me"), 6)

    assert sum(claim is not None for claim in claims) == 1


def test_a_batch_is_free_again_when_its_lease_has_lapsed(stage: Stage) -> None:
    occurrence = planned(stage)
    first = batches.claim("first")
    assert first is not None and batches.claim("second") is None
    let_lease_lapse(occurrence)

    second = batches.claim("second")

    assert second is not None and (second.pk, second.attempt) == (first.pk, first.attempt + 1)


_JUST_BACK = timedelta(seconds=heartbeat.GRACE_S - 5)
_LONG = timedelta(minutes=2)


@pytest.mark.parametrize(
    ("since", "last", "kind"),
    [(_LONG, _LONG, "workers"), (_JUST_BACK, timedelta(), "workers"), (_LONG, timedelta(), "ticker")],
    ids=["nobody was heard yet", "the database has just returned", "no worker was heard"],
)
def test_a_lease_runs_out_only_while_other_workers_are_heard(
    stage: Stage, since: timedelta, last: timedelta, kind: str
) -> None:
    occurrence = planned(stage)
    first = batches.claim("first")
    let_lease_lapse(occurrence)
    WorkerGroup.objects.update(seen_since=Now() - since, seen_at=Now() - last, kind=kind)
    assert first is not None

    assert batches.claim("second") is None
    assert batches.open_work(10) == 0
    assert batches.extend_leases("first") == {first.pk}


def test_a_sign_of_life_keeps_only_ones_own_leases(stage: Stage) -> None:
    occurrence = planned(stage)
    batches.claim("first")
    let_lease_lapse(occurrence)

    batches.extend_leases("another")
    assert Batch.objects.filter(lease_until__lt=Now()).exists()
    batches.extend_leases("first")
    assert Batch.objects.filter(lease_until__gt=Now() + timedelta(seconds=batches.LEASE_S - 5)).exists()


def test_giving_back_what_another_has_taken_changes_nothing(stage: Stage) -> None:
    occurrence = planned(stage)
    first = batches.claim("first")
    let_lease_lapse(occurrence)
    batches.claim("second")
    assert first is not None

    batches.release(first)

    assert Batch.objects.get().state == "sending"


def test_a_batch_for_later_waits(stage: Stage) -> None:
    planned(stage)
    Batch.objects.update(due_at=Now() + timedelta(seconds=30))

    assert batches.claim("me") is None
    assert batches.open_work(10) == 0


def test_nobody_takes_what_he_has_in_hand_however_long_he_stood_still(stage: Stage) -> None:
    occurrence = planned(stage)
    first = batches.claim("me")
    let_lease_lapse(occurrence)
    assert first is not None

    assert batches.claim("me", in_hand=[first.pk]) is None
    assert batches.extend_leases("me") == {first.pk}  # it is his own again


def test_who_lost_a_batch_hears_of_it_before_a_request_leaves(stage: Stage) -> None:
    occurrence = planned(stage)
    first = batches.claim("first")
    assert first is not None and batches.note_begun(first, 1)
    let_lease_lapse(occurrence)
    batches.claim("second")

    assert not batches.note_begun(first, 2)
    assert Batch.objects.get().begun == 1
