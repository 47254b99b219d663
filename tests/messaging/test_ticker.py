"""Starting messages on time: each occurrence once, repeats without drift, what was missed or would overlap skipped."""

from __future__ import annotations

import signal
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from messaging import database, queue, ticker
from messaging.control import stop
from messaging.errors import InvalidRepeatExpiresAt
from messaging.models import Message, MessageStatus, Occurrence, OccurrenceState
from messaging.publishing import cancel
from messaging.ticker import claim_due, sweep
from tests.messaging.processes import command
from tests.messaging.stage import Stage, finish, fresh, in_threads, message_of, wait_until

MINUTE = timedelta(minutes=1)


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        return cursor.fetchone() is not None


def turn_back(message: Message, by: timedelta) -> None:
    """As if that much time had passed since the message was published."""
    Occurrence.objects.filter(Q(n=1) | Q(state=OccurrenceState.SCHEDULED), message=message).update(
        due_at=F("due_at") - by
    )
    Message.objects.filter(pk=message.pk).update(repeat_expires_at=F("repeat_expires_at") - by)


def numbers(message: Message, state: str) -> list[int]:
    return sorted(Occurrence.objects.filter(message=message, state=state).values_list("n", flat=True))


def test_what_is_due_starts_and_what_is_not_waits(stage: Stage) -> None:
    due = stage.publish("ANDROID")
    later = stage.publish("ANDROID", publish_at=database.now() + MINUTE)

    assert claim_due() == 1

    assert fresh(due).state == OccurrenceState.PLANNING
    assert fresh(due).claimed_at is not None
    assert fresh(later).state == OccurrenceState.SCHEDULED


def test_four_tickers_claim_each_occurrence_once(stage: Stage) -> None:
    for _ in range(250):
        stage.publish("ANDROID")

    claimed = in_threads(lambda: sum(claim_due() for _ in range(6)), 4)

    assert sum(claimed) == 250
    assert Occurrence.objects.filter(state=OccurrenceState.PLANNING).count() == 250


def test_four_tickers_make_one_next_firing_of_a_series(stage: Stage) -> None:
    for _ in range(20):
        stage.publish("ANDROID", repeat_every=MINUTE)

    in_threads(claim_due, 4)

    assert Occurrence.objects.filter(n=1).count() == Occurrence.objects.filter(n=2).count() == 20


def test_claiming_forty_firings_takes_as_many_statements_as_claiming_four(stage: Stage) -> None:
    taken = []
    for count in (4, 40):
        for _ in range(count):
            stage.publish("ANDROID", repeat_every=MINUTE)
        with CaptureQueriesContext(connection) as statements:
            assert claim_due() == count
        taken.append(len(statements))

    assert taken[0] == taken[1]
    assert Occurrence.objects.filter(n=2, state=OccurrenceState.SCHEDULED).count() == 44


def test_repeats_fall_on_exact_multiples_of_their_interval(stage: Stage) -> None:
    every = timedelta(seconds=7)
    occurrence = stage.start("ANDROID", repeat_every=every)
    first = occurrence.due_at
    message = message_of(occurrence)
    finish(occurrence)
    for n in range(2, 5):
        upcoming = Occurrence.objects.get(message=message, state=OccurrenceState.SCHEDULED)
        assert (upcoming.n, upcoming.due_at) == (n, first + (n - 1) * every)
        turn_back(message, every)
        first -= every
        claim_due()
        finish(Occurrence.objects.get(pk=upcoming.pk))


def test_firings_missed_for_more_than_an_hour_are_recorded_as_skipped(stage: Stage) -> None:
    message = message_of(stage.publish("ANDROID", repeat_every=timedelta(hours=2)))
    turn_back(message, timedelta(hours=3, minutes=30))

    claim_due()

    skipped = Occurrence.objects.filter(message=message, state=OccurrenceState.SKIPPED)
    assert [(row.n, row.skip_reason) for row in skipped.order_by("n")] == [(1, "missed"), (2, "missed")]
    waiting = Occurrence.objects.get(message=message, state=OccurrenceState.SCHEDULED)
    assert waiting.n == 3 and waiting.due_at > database.now()


def test_of_several_missed_firings_the_newest_is_sent(stage: Stage) -> None:
    stage.devices(2)
    message = message_of(stage.publish("ANDROID", repeat_every=timedelta(minutes=10)))
    turn_back(message, timedelta(minutes=35))

    claim_due()

    assert numbers(message, OccurrenceState.SKIPPED) == [1, 2, 3]
    assert numbers(message, OccurrenceState.SCHEDULED) == [5]
    assert finish(Occurrence.objects.get(message=message, n=4)).accepted == 2


def test_a_firing_that_was_missed_does_not_leave_after_the_end_of_its_series(stage: Stage) -> None:
    expires = database.now() + 2 * MINUTE
    message = message_of(stage.publish("ANDROID", repeat_every=timedelta(seconds=50), repeat_expires_at=expires))
    turn_back(message, 3 * MINUTE)

    claim_due()

    assert numbers(message, OccurrenceState.SKIPPED) == [1, 2, 3]
    assert not Occurrence.objects.filter(message=message).exclude(state=OccurrenceState.SKIPPED).exists()


def test_a_single_message_is_sent_however_late(stage: Stage) -> None:
    stage.devices(2)
    occurrence = stage.publish("ANDROID")
    turn_back(message_of(occurrence), timedelta(days=2))

    claim_due()

    assert finish(occurrence).accepted == 2


def test_a_firing_that_would_overlap_the_last_is_skipped(stage: Stage) -> None:
    stage.devices(2)
    message = message_of(stage.start("ANDROID", repeat_every=MINUTE))
    turn_back(message, MINUTE)

    claim_due()

    second = Occurrence.objects.get(message=message, n=2)
    assert (second.state, second.skip_reason) == (OccurrenceState.SKIPPED, "overlap")
    assert second.closed_at is not None
    assert numbers(message, OccurrenceState.SCHEDULED) == [3]


def test_a_series_ends_where_it_expires(stage: Stage) -> None:
    now = database.now()
    occurrence = stage.publish("ANDROID", repeat_every=MINUTE, repeat_expires_at=now + 2 * MINUTE)
    message = message_of(occurrence)
    claim_due()
    finish(occurrence)
    assert message_of(occurrence).status == MessageStatus.SCHEDULED
    turn_back(message, MINUTE)
    claim_due()
    second = Occurrence.objects.get(message=message, n=2)
    finish(second)

    assert numbers(message, OccurrenceState.DONE) == [1, 2]
    assert not Occurrence.objects.filter(message=message, n=3).exists()
    assert message_of(occurrence).status == MessageStatus.PUBLISHED


def test_a_series_whose_last_firing_was_skipped_ends_too(stage: Stage) -> None:
    stage.devices(1)
    expires = database.now() + timedelta(seconds=90)
    occurrence = stage.start("ANDROID", repeat_every=MINUTE, repeat_expires_at=expires)
    turn_back(message_of(occurrence), MINUTE)
    claim_due()
    assert finish(occurrence).accepted == 1

    sweep()

    assert message_of(occurrence).status == MessageStatus.PUBLISHED


def ended_by_a_missed_firing(occurrence: Occurrence) -> Message:
    """The message of a first firing that is over, when no ticker ran for the hour after the last one was due."""
    turn_back(message_of(occurrence), timedelta(hours=2))
    claim_due()
    assert numbers(message_of(occurrence), OccurrenceState.SKIPPED) == [2]
    sweep()
    return message_of(occurrence)


def test_a_series_that_reached_nobody_has_failed_although_its_last_firing_was_missed(stage: Stage) -> None:
    stage.devices(1, "ANDROID", "dead")
    expires = database.now() + timedelta(seconds=90)
    occurrence = stage.start("ANDROID", repeat_every=MINUTE, repeat_expires_at=expires)
    assert finish(occurrence).failed == 1

    message = ended_by_a_missed_firing(occurrence)

    assert (message.status, "FCM refused" in message.error_message) == (MessageStatus.FAILED, True)


def test_a_series_stopped_before_it_reached_anybody_is_cancelled_although_its_last_firing_was_missed(
    stage: Stage,
) -> None:
    stage.devices(1)
    expires = database.now() + timedelta(seconds=90)
    occurrence = stage.start("ANDROID", repeat_every=MINUTE, repeat_expires_at=expires)
    stop(occurrence)

    assert ended_by_a_missed_firing(occurrence).status == MessageStatus.CANCELLED


def test_cancelling_a_series_stops_every_further_firing(stage: Stage) -> None:
    occurrence = stage.start("ANDROID", repeat_every=MINUTE)
    message = message_of(occurrence)
    cancel(message)
    turn_back(message, MINUTE)

    assert claim_due() == 0
    sweep()
    assert not Occurrence.objects.filter(message=message, closed_at=None).exists()
    assert message_of(occurrence).status == MessageStatus.CANCELLED


def test_an_occurrence_whose_last_batch_ended_unseen_is_closed_by_the_sweep(stage: Stage) -> None:
    occurrence = stage.start("ANDROID")
    Occurrence.objects.filter(pk=occurrence.pk).update(state=OccurrenceState.SENDING, planned_at=Now())

    sweep()

    assert fresh(occurrence).closed_at is not None
    assert message_of(occurrence).status == MessageStatus.PUBLISHED


def test_work_is_rung_for_once_per_free_worker_and_no_more(stage: Stage) -> None:
    stage.devices(10)
    ticker.ring_for_work()
    assert queue.waiting_jobs("clarion") == 0
    for _ in range(5):
        stage.start("ANDROID")

    for _ in range(3):
        ticker.ring_for_work()

    assert queue.waiting_jobs("clarion") == 2  # CLARION_WORKERS


def test_a_running_ticker_starts_a_message_at_once(stage: Stage) -> None:
    stopped = False

    def publish_and_wait() -> object:
        nonlocal stopped
        try:
            occurrence = stage.publish("ANDROID")
            while fresh(occurrence).claimed_at is None:
                pass
            return fresh(occurrence)
        finally:
            stopped = True

    def tick() -> object:
        ticker.Ticker().run(lambda: stopped)
        return None

    roles = iter([tick, publish_and_wait])
    occurrence = next(row for row in in_threads(lambda: next(roles)(), 2) if isinstance(row, Occurrence))

    assert occurrence.claimed_at is not None
    assert occurrence.claimed_at - occurrence.due_at < timedelta(seconds=1)


def test_what_a_ticker_was_claiming_when_it_was_stopped_is_claimed_by_another_within_seconds(stage: Stage) -> None:
    message = message_of(stage.publish("ANDROID", repeat_every=MINUTE))
    with psycopg.connect(**database.connection_parameters()) as reader:
        reader.execute("LOCK TABLE messaging_occurrence IN SHARE MODE")  # rows can be locked, not written
        with command("ticker") as stopped:
            wait_until(waits_for_a_lock, 30, "the ticker to be in the middle of its claim")
            stopped.send_signal(signal.SIGSTOP)
            reader.rollback()

            wait_until(lambda: claim_due() == 1, 10, "the firing to be free")

            stopped.send_signal(signal.SIGCONT)
            after = stage.publish("ANDROID")
            wait_until(lambda: fresh(after).claimed_at is not None, 10, "the stopped ticker to go on")
    assert numbers(message, OccurrenceState.PLANNING) == [1]
    assert numbers(message, OccurrenceState.SCHEDULED) == [2]


def test_a_wall_clock_series_that_ends_before_its_first_firing_is_error_5003(stage: Stage) -> None:
    now = database.now()
    later = now + timedelta(hours=2)

    with pytest.raises(InvalidRepeatExpiresAt):
        stage.publish(
            "ANDROID", cron=f"{later:%M %H} * * *", cron_zone="UTC", repeat_expires_at=now + timedelta(hours=1)
        )
