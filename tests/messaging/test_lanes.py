"""Lanes: what is throttled or paused waits in the database, survives restarts, and slows nobody else."""

from __future__ import annotations

import pytest

from devices.push_services import PushService
from messaging import batches, fanout, lanes
from messaging.drain import Drain
from messaging.ledger import ledger_of
from messaging.models import Lane, LaneState
from messaging.publishing import cancel
from tests.messaging.stage import Stage, fresh, message_of

FCM = PushService.FCM


def test_a_throttle_is_never_shortened(stage: Stage) -> None:
    lanes.throttle(stage.application.pk, FCM, 60)
    long = Lane.objects.get().throttled_until
    lanes.throttle(stage.application.pk, FCM, 5)

    assert Lane.objects.get().throttled_until == long


def test_a_throttle_does_not_lift_a_pause(stage: Stage) -> None:
    lanes.pause(stage.application.pk, FCM, "refused")
    lanes.throttle(stage.application.pk, FCM, 5)

    lane = Lane.objects.get()
    assert (lane.state, lane.paused_because) == (LaneState.PAUSED, "refused")


def test_the_first_reason_of_a_pause_is_kept(stage: Stage) -> None:
    lanes.pause(stage.application.pk, FCM, "first")
    lanes.pause(stage.application.pk, FCM, "second")

    assert Lane.objects.get().paused_because == "first"


@pytest.mark.parametrize("state", [LaneState.PAUSED, LaneState.THROTTLED])
def test_a_closed_lane_keeps_its_devices_pending_and_the_others_go_on(stage: Stage, state: LaneState) -> None:
    stage.devices(3)
    ios = stage.devices(2, "IOS")
    if state is LaneState.PAUSED:
        lanes.pause(stage.application.pk, FCM, "by hand")
    else:
        lanes.throttle(stage.application.pk, FCM, 60)

    ledger = stage.send("ANDROID", "IOS")

    assert (ledger.accepted, ledger.pending) == (len(ios), 3)
    assert stage.requests("fcm") == []


def test_a_resumed_lane_sends_what_waited(stage: Stage) -> None:
    stage.devices(3)
    lanes.pause(stage.application.pk, FCM, "by hand")
    occurrence = stage.start("ANDROID")
    Drain().run()

    lanes.resume(Lane.objects.get())
    Drain().run()

    assert ledger_of(fresh(occurrence)).accepted == 3


def test_a_message_can_be_cancelled_although_its_lane_is_paused(stage: Stage) -> None:
    stage.devices(3)
    lanes.pause(stage.application.pk, FCM, "by hand")
    occurrence = stage.start("ANDROID")
    Drain().run()

    cancel(message_of(occurrence))
    Drain().run()

    assert fresh(occurrence).closed_at is not None
    assert (ledger_of(fresh(occurrence)).skipped, stage.requests()) == (3, [])


def test_lanes_a_drain_cannot_use_are_passed_over_when_it_claims(stage: Stage) -> None:
    stage.devices(2)
    stage.devices(2, "IOS")
    stage.start("ANDROID", "IOS")
    fanout.plan_next_page()

    batch = batches.claim("me", passing_over={(stage.application.pk, FCM)})

    assert batch is not None and batch.push_service is PushService.APNS
    assert batches.claim("me", passing_over={(stage.application.pk, FCM)}) is None
