"""Nothing is sent after its expiry, however long a lane, a retry or a person made it wait (reliability.md P12)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F

from devices.push_services import PushService
from messaging import control, lanes
from messaging.drain import Drain
from messaging.ledger import deliveries_of
from messaging.models import Batch, DeliveryOutcome, Lane, LaneState, Message, Occurrence
from messaging.ticker import claim_due, ring_for_work
from tests.messaging.stage import Stage, bring_forward, check_books, finish, fresh

FCM = PushService.FCM
MINUTE = timedelta(minutes=1)


def let_expire() -> None:
    """As if every message's life were over."""
    Message.objects.update(ttl=timedelta(seconds=-1))


def outcomes(occurrence: Occurrence) -> set[str]:
    return set(deliveries_of(fresh(occurrence)).values_list("outcome", flat=True))


def test_a_message_whose_life_was_over_before_it_was_sent_reaches_nobody(stage: Stage) -> None:
    stage.devices(3)
    occurrence = stage.publish("ANDROID", ttl=MINUTE)
    let_expire()

    claim_due()
    Drain().run()

    assert (outcomes(occurrence), stage.requests()) == ({DeliveryOutcome.EXPIRED}, [])
    assert fresh(occurrence).closed_at is not None


def test_a_device_whose_next_try_would_come_too_late_ends_at_once(stage: Stage) -> None:
    stage.devices(2, "ANDROID", "429-60")
    occurrence = stage.start("ANDROID", ttl=timedelta(seconds=30))

    Drain().run()

    assert outcomes(occurrence) == {DeliveryOutcome.EXPIRED}
    assert max(stage.requests_by_token().values()) == 1
    assert deliveries_of(fresh(occurrence)).first().reason == "QUOTA_EXCEEDED"  # type: ignore[union-attr]


def test_a_device_that_waits_for_its_next_try_expires_meanwhile(stage: Stage) -> None:
    stage.devices(2, "ANDROID", "500")
    occurrence = stage.start("ANDROID", ttl=timedelta(minutes=10))
    Drain().run()
    assert check_books(occurrence).pending == 2

    let_expire()
    bring_forward()
    Drain().run()

    assert outcomes(occurrence) == {DeliveryOutcome.EXPIRED}
    assert max(stage.requests_by_token().values()) == 1


def test_what_a_throttled_lane_held_back_too_long_is_not_sent(stage: Stage) -> None:
    stage.devices(3)
    lanes.throttle(stage.application.pk, FCM, 300)
    occurrence = stage.start("ANDROID", ttl=MINUTE)
    Drain().run()
    assert check_books(occurrence).pending == 3  # not before its time

    let_expire()
    ledger = finish(occurrence)

    assert (ledger.skipped, stage.requests()) == (3, [])


@pytest.mark.parametrize("state", [LaneState.PAUSED, LaneState.THROTTLED])
def test_a_campaign_that_expires_behind_a_closed_lane_ends_by_itself(stage: Stage, state: str) -> None:
    stage.devices(3)
    lanes.throttle(stage.application.pk, FCM, 3_600)
    Lane.objects.update(state=state)
    occurrence = stage.start("ANDROID", ttl=MINUTE)
    Drain().run()

    let_expire()
    ring_for_work()
    Drain().run()

    assert outcomes(occurrence) == {DeliveryOutcome.EXPIRED}
    assert (fresh(occurrence).closed_at is not None, stage.requests()) == (True, [])


def test_a_campaign_that_expires_while_it_is_paused_ends_by_itself(stage: Stage) -> None:
    stage.devices(3)
    occurrence = stage.start("ANDROID", ttl=MINUTE)
    control.pause(occurrence)
    Drain().run()

    let_expire()
    Drain().run()

    assert outcomes(occurrence) == {DeliveryOutcome.EXPIRED}
    assert fresh(occurrence).closed_at is not None


def test_a_message_cancelled_while_its_retries_wait_ends_at_once(stage: Stage) -> None:
    stage.devices(2, "IOS", "500")  # Apple asks to wait for 15 minutes
    occurrence = stage.start("IOS")
    Drain().run()
    assert Batch.objects.filter(state="waiting", tries=1).exists()

    control.stop(occurrence)
    Drain().run()

    assert fresh(occurrence).closed_at is not None
    assert outcomes(occurrence) == {DeliveryOutcome.CANCELLED}


def test_a_push_service_is_told_how_long_the_message_still_lives(stage: Stage) -> None:
    stage.devices(1)
    stage.devices(1, "WEB")
    occurrence = stage.publish("ANDROID", "WEB", ttl=timedelta(seconds=600))
    Occurrence.objects.filter(pk=occurrence.pk).update(due_at=F("due_at") - timedelta(seconds=100))

    claim_due()
    Drain().run()

    (fcm,), (web,) = stage.requests("fcm"), stage.requests("webpush")
    ttl_s = int(fcm["notification"]["message"]["android"]["ttl"].removesuffix("s"))
    assert 480 <= ttl_s <= 500
    assert 480 <= int(web["headers"]["ttl"]) <= 500
