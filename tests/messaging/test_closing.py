"""An occurrence ends once, when nothing of it is open; its message when no firing is left, as it has earned it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from messaging import fanout
from messaging.closing import close_if_finished
from messaging.drain import Drain
from messaging.models import Batch, MessageStatus, Occurrence, OccurrenceState
from tests.messaging.stage import Stage, fresh, in_threads, message_of

MINUTE = timedelta(minutes=1)


def planned(stage: Stage, devices: int = 2) -> Occurrence:
    stage.devices(devices)
    occurrence = stage.start("ANDROID")
    fanout.plan_next_page()
    return occurrence


def settle_batches(occurrence: Occurrence, **counts: int) -> None:
    """As if a drain had written the outcomes and died before it looked whether that was all."""
    Batch.objects.filter(occurrence=occurrence).update(state="done", **counts)


def test_an_open_batch_keeps_the_occurrence_open(stage: Stage) -> None:
    occurrence = planned(stage)

    assert not close_if_finished(occurrence.pk)
    assert fresh(occurrence).closed_at is None


def test_an_occurrence_whose_audience_is_not_yet_known_stays_open(stage: Stage) -> None:
    occurrence = stage.start("ANDROID")

    assert not close_if_finished(occurrence.pk)


def test_a_firing_to_come_is_not_closed(stage: Stage) -> None:
    occurrence = stage.publish("ANDROID")

    assert not close_if_finished(occurrence.pk)


def test_of_many_who_look_one_closes(stage: Stage) -> None:
    occurrence = planned(stage)
    settle_batches(occurrence, accepted=2)

    assert sorted(in_threads(lambda: close_if_finished(occurrence.pk), 4)) == [False, False, False, True]


def test_the_counts_of_the_batches_become_the_occurrences_own(stage: Stage) -> None:
    occurrence = planned(stage, devices=6)
    settle_batches(occurrence, accepted=3, failed=2, skipped=1)

    close_if_finished(occurrence.pk)

    row = fresh(occurrence)
    assert (row.state, row.targeted, row.accepted, row.failed, row.skipped) == (OccurrenceState.DONE, 6, 3, 2, 1)


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ({"accepted": 2}, MessageStatus.PUBLISHED),
        ({"accepted": 1, "failed": 1}, MessageStatus.PUBLISHED),
        ({"failed": 2}, MessageStatus.FAILED),
        ({"skipped": 2}, MessageStatus.PUBLISHED),
        ({"failed": 1, "skipped": 1}, MessageStatus.FAILED),
    ],
)
def test_a_message_has_failed_when_devices_failed_and_none_was_reached(
    stage: Stage, counts: dict[str, int], status: str
) -> None:
    occurrence = planned(stage)
    settle_batches(occurrence, **counts)

    close_if_finished(occurrence.pk)

    assert message_of(occurrence).status == status


def test_a_message_to_nobody_is_published(stage: Stage) -> None:
    occurrence = stage.start("ANDROID")
    Drain().run()

    assert fresh(occurrence).closed_at is not None
    assert message_of(occurrence).status == MessageStatus.PUBLISHED


def test_a_series_with_a_firing_to_come_stays_scheduled(stage: Stage) -> None:
    occurrence = stage.start("ANDROID", repeat_every=MINUTE)
    Drain().run()

    assert fresh(occurrence).closed_at is not None
    assert message_of(occurrence).status == MessageStatus.SCHEDULED
