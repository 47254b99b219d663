"""Pause, resume, stop and retry while real workers send: effective within two seconds, true at every moment."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from devices.push_services import PushService
from messaging import control
from messaging.control import FailureKind
from messaging.drain import Drain
from messaging.errors import CannotControl, NothingToRetry
from messaging.ledger import deliveries_of, ledger_of
from messaging.models import DeliveryOutcome, MessageStatus, Occurrence, OccurrenceState
from messaging.publishing import cancel
from messaging.ticker import claim_due
from tests.messaging.drain_nursery import DrainNursery
from tests.messaging.stage import Stage, check_books, finish, fresh, message_of, tokens, wait_until
from tests.messaging.test_ticker import turn_back

MINUTE = timedelta(minutes=1)
Steer = Callable[[Occurrence], None]


def steer_in_mid_send(stage: Stage, nursery: DrainNursery, steer: Steer, **values: object) -> Occurrence:
    """A campaign of 1,500 devices that was steered after 200 requests; no request leaves two seconds later."""
    stage.devices(1_500)
    stage.simulators.set_mode("fcm", latency_ms=400)
    occurrence = stage.start("ANDROID", **values)
    drain = nursery.start()
    wait_until(lambda: len(stage.requests()) > 200, 20, "the campaign to run")
    steer(occurrence)
    steered_at = time.time()
    assert nursery.wait(drain) == 0
    assert max(entry["time"] for entry in stage.requests()) <= steered_at + 2.0
    stage.simulators.set_mode("fcm")
    return occurrence


def outcome_counts(occurrence: Occurrence) -> Counter[str]:
    return Counter(deliveries_of(fresh(occurrence)).values_list("outcome", flat=True))


# pausing


def test_a_paused_campaign_stands_still_and_goes_on_without_a_duplicate(stage: Stage, nursery: DrainNursery) -> None:
    occurrence = steer_in_mid_send(stage, nursery, control.pause)
    paused = check_books(occurrence)
    assert 0 < paused.accepted == len(stage.requests()) < 1_500
    assert (paused.failed, paused.skipped) == (0, 0)

    Drain().run()
    assert check_books(occurrence) == paused

    control.resume(occurrence)
    assert finish(occurrence).accepted == 1_500
    assert set(stage.requests_by_token().values()) == {1}


def test_a_campaign_paused_before_its_first_request_knows_its_audience_and_waits(stage: Stage) -> None:
    stage.devices(3)
    occurrence = stage.start("ANDROID")
    control.pause(occurrence)

    Drain().run()

    ledger = check_books(occurrence)
    assert (ledger.targeted, ledger.pending, stage.requests()) == (3, 3, [])


def test_a_paused_campaign_can_be_stopped(stage: Stage) -> None:
    stage.devices(3)
    occurrence = stage.start("ANDROID")
    control.pause(occurrence)
    Drain().run()

    control.stop(occurrence)
    Drain().run()

    assert outcome_counts(occurrence) == {DeliveryOutcome.CANCELLED: 3}
    assert fresh(occurrence).closed_at is not None


@pytest.mark.parametrize("steer", [control.pause, control.resume, control.stop])
def test_what_has_ended_cannot_be_steered(stage: Stage, steer: Steer) -> None:
    stage.devices(1)
    occurrence = stage.start("ANDROID")
    Drain().run()

    with pytest.raises(CannotControl):
        steer(occurrence)


@pytest.mark.parametrize("steer", [control.pause, control.stop])
def test_nothing_is_done_twice(stage: Stage, steer: Steer) -> None:
    stage.devices(1)
    occurrence = stage.start("ANDROID")
    while fresh(occurrence).planned_at is None:
        Drain()._plan()
    steer(occurrence)

    with pytest.raises(CannotControl):
        steer(occurrence)


def test_a_campaign_that_is_not_paused_cannot_be_resumed(stage: Stage) -> None:
    with pytest.raises(CannotControl):
        control.resume(stage.start("ANDROID"))


# stopping one firing


def test_a_stopped_campaign_says_how_many_it_reached(stage: Stage, nursery: DrainNursery) -> None:
    occurrence = steer_in_mid_send(stage, nursery, control.stop)

    ledger = check_books(occurrence)
    assert (ledger.targeted, ledger.pending) == (1_500, 0)
    assert ledger.accepted == len(stage.requests())
    assert outcome_counts(occurrence)[DeliveryOutcome.CANCELLED] == ledger.skipped > 0
    assert fresh(occurrence).state == OccurrenceState.CANCELLED
    assert message_of(occurrence).status == MessageStatus.PUBLISHED  # it reached somebody


def test_a_message_stopped_before_it_reached_anybody_is_cancelled(stage: Stage) -> None:
    stage.devices(2)
    occurrence = stage.start("ANDROID")

    control.stop(occurrence)

    assert fresh(occurrence).closed_at is not None
    assert message_of(occurrence).status == MessageStatus.CANCELLED


def test_stopping_the_firing_that_is_sent_leaves_the_next_one_to_come(stage: Stage) -> None:
    stage.devices(2)
    occurrence = stage.start("ANDROID", repeat_every=MINUTE)
    control.stop(occurrence)

    turn_back(message_of(occurrence), MINUTE)
    claim_due()

    assert finish(Occurrence.objects.get(n=2)).accepted == 2


def test_stopping_the_firing_that_waits_leaves_the_one_after_it_to_come(stage: Stage) -> None:
    stage.devices(2)
    first = stage.start("ANDROID", repeat_every=MINUTE)
    finish(first)
    waiting = Occurrence.objects.get(n=2)

    control.stop(waiting)

    third = Occurrence.objects.get(n=3)
    assert (fresh(waiting).state, third.state) == (OccurrenceState.CANCELLED, OccurrenceState.SCHEDULED)
    assert third.due_at == waiting.due_at + MINUTE
    assert message_of(first).status == MessageStatus.SCHEDULED
    turn_back(message_of(first), 2 * MINUTE)
    claim_due()
    assert finish(third).accepted == 2


def test_stopping_the_last_firing_that_waits_ends_the_series(stage: Stage) -> None:
    stage.devices(2)
    expires = stage.publish("ANDROID").due_at + 1.5 * MINUTE
    first = stage.start("ANDROID", repeat_every=MINUTE, repeat_expires_at=expires)
    finish(first)

    control.stop(Occurrence.objects.get(message=first.message, n=2))

    assert message_of(first).status == MessageStatus.PUBLISHED
    assert not Occurrence.objects.filter(message=first.message, closed_at=None).exists()


def test_cancelling_the_series_ends_the_firing_that_is_sent_and_every_later_one(stage: Stage) -> None:
    stage.devices(2)
    occurrence = stage.start("ANDROID", repeat_every=MINUTE)

    cancel(message_of(occurrence))
    finish(occurrence)

    assert set(Occurrence.objects.values_list("n", "state")) == {(1, "cancelled"), (2, "cancelled")}
    assert (message_of(occurrence).status, stage.requests()) == (MessageStatus.CANCELLED, [])


# retrying the failed


def failing(stage: Stage) -> Occurrence:
    """A campaign that ended in every way."""
    for os_name in ("ANDROID", "IOS"):
        stage.devices(4, os_name)
        for behaviour, count in (("bad", 1), ("unknown", 2), ("dead", 2)):
            stage.devices(count, os_name, behaviour)
    occurrence = stage.start("ANDROID", "IOS")
    finish(occurrence)
    return fresh(occurrence)


def kinds_of(occurrence: Occurrence) -> dict[FailureKind, set[int]]:
    """Registrations by what became of them."""
    kinds: dict[FailureKind, set[int]] = {}
    for row in deliveries_of(occurrence):
        kind = FailureKind(
            push_service=PushService(row.push_service), outcome=DeliveryOutcome(row.outcome), reason=row.reason
        )
        kinds.setdefault(kind, set()).add(row.registration_id)
    return kinds


def retried(occurrence: Occurrence) -> set[int]:
    return {pk for batch in occurrence.batches.all() for pk in batch.registration_ids}


def test_a_retry_by_reason_is_for_exactly_the_devices_that_failed_so(stage: Stage) -> None:
    first = failing(stage)
    kinds = {kind: ids for kind, ids in kinds_of(first).items() if kind.outcome in control.RETRYABLE}
    assert len(kinds) >= 3

    for kind, ids in kinds.items():
        assert retried(control.retry_failed(first, [kind])) == ids


def test_a_retry_leaves_out_who_was_reached_and_whose_token_is_dead(stage: Stage) -> None:
    first = failing(stage)
    failed = {
        pk
        for kind, ids in kinds_of(first).items()
        if kind.outcome not in (DeliveryOutcome.ACCEPTED, DeliveryOutcome.GONE)
        for pk in ids
    }

    again = control.retry_failed(first)

    assert retried(again) == failed
    assert ledger_of(again).targeted == len(failed)


def test_a_retry_has_a_ledger_of_its_own_and_the_message_ends_again(stage: Stage) -> None:
    lost = stage.devices(3, "ANDROID", "unknownx1")
    first = stage.start("ANDROID")
    Drain().run()
    assert message_of(first).status == MessageStatus.FAILED
    before = check_books(first)

    again = control.retry_failed(first)
    assert message_of(first).status == MessageStatus.SCHEDULED
    ledger = finish(again)

    assert (ledger.targeted, ledger.accepted) == (3, 3)
    assert check_books(first) == before
    assert message_of(first).status == MessageStatus.PUBLISHED
    assert stage.requests_by_token() == dict.fromkeys(tokens(lost), 2)


def test_a_retry_leaves_out_who_is_retried_already(stage: Stage) -> None:
    lost = stage.devices(2, "ANDROID", "unknownx1")
    first = stage.start("ANDROID")
    Drain().run()
    again = control.retry_failed(first)

    with pytest.raises(NothingToRetry):
        control.retry_failed(first)

    finish(again)
    assert stage.requests_by_token() == dict.fromkeys(tokens(lost), 2)


def test_a_retry_leaves_out_who_was_reached_by_another(stage: Stage) -> None:
    stage.devices(2, "ANDROID", "unknownx1")
    first = stage.start("ANDROID")
    Drain().run()
    finish(control.retry_failed(first))

    with pytest.raises(NothingToRetry):
        control.retry_failed(first)


def test_who_fails_in_a_retry_too_can_be_retried_from_the_first_campaign(stage: Stage) -> None:
    devices = stage.devices(2, "ANDROID", "unknown")
    first = stage.start("ANDROID")
    Drain().run()
    finish(control.retry_failed(first))

    assert retried(control.retry_failed(first)) == {device.pk for device in devices}


def test_two_people_who_retry_at_once_send_once(stage: Stage) -> None:
    lost = stage.devices(3, "ANDROID", "unknownx1")
    first = stage.start("ANDROID")
    Drain().run()

    with ThreadPoolExecutor() as people:
        retries = [occurrence for occurrence in people.map(retry_or_not, [first] * 4) if occurrence]

    assert len(retries) == 1
    finish(retries[0])
    assert stage.requests_by_token() == dict.fromkeys(tokens(lost), 2)


def retry_or_not(first: Occurrence) -> Occurrence | None:
    """Press the button, as a thread with a connection of its own."""
    try:
        return control.retry_failed(first)
    except NothingToRetry:
        return None
    finally:
        connection.close()


def test_a_campaign_that_still_runs_is_not_retried(stage: Stage) -> None:
    stage.devices(1)

    with pytest.raises(CannotControl):
        control.retry_failed(stage.start("ANDROID"))


def test_where_nobody_failed_there_is_nothing_to_retry(stage: Stage) -> None:
    stage.devices(2)
    occurrence = stage.start("ANDROID")
    Drain().run()

    with pytest.raises(NothingToRetry):
        control.retry_failed(occurrence)


def test_a_message_whose_retry_reached_nobody_has_still_failed(stage: Stage) -> None:
    (device,) = stage.devices(1, "ANDROID", "unknown")
    first = stage.start("ANDROID")
    Drain().run()
    again = control.retry_failed(first)
    device.state = "gone"
    device.save()

    ledger = finish(again)

    assert (ledger.skipped, ledger.failed) == (1, 0)
    message = message_of(first)
    assert message.status == MessageStatus.FAILED
    assert "FCM refused 1 devices" in message.error_message


def test_a_firing_that_would_overlap_a_retry_is_skipped(stage: Stage) -> None:
    stage.devices(1, "ANDROID", "unknown")
    first = stage.start("ANDROID", repeat_every=MINUTE)
    Drain().run()
    control.retry_failed(first)

    turn_back(message_of(first), MINUTE)
    claim_due()

    second = Occurrence.objects.get(n=2)
    assert (second.state, second.skip_reason) == (OccurrenceState.SKIPPED, "overlap")
