"""Pace: buckets that all drains share grant what the limit allows, and no more."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now

from devices.models import Application
from devices.push_services import PushService
from messaging import batches, fanout, pacing
from messaging.ledger import ledger_of
from messaging.models import Lane, Pace
from messaging.pacing import Bucket, LanePace, Limit, MessagePace, Pacer, heed, limits_of, slow_down, take
from messaging.providers.base import OutcomeKind, PushOutcome
from tests.messaging.stage import Stage, drain_process, finish, fresh, in_threads, tokens, wait_until

BEGAN = datetime(2030, 1, 1, tzinfo=UTC)


def bucket(*, credit: float = 0.0, idle_s: float = 0.0, busy_s: float = 600.0, share: float = 1.0) -> Bucket:
    asked_at = BEGAN + timedelta(hours=1)
    now = asked_at + timedelta(seconds=idle_s)
    return Bucket(
        credit=credit,
        asked_at=asked_at,
        busy_since=now - timedelta(seconds=busy_s),
        share=share,
        slowed_at=asked_at,
        now=now,
    )


def lane_limit(service: PushService, per_second: int | None, *, is_simulated: bool = False) -> Limit | None:
    limits = limits_of(MessagePace(1, None), LanePace(1, service, per_second, is_simulated))
    return limits[0] if limits else None


def test_a_bucket_fills_at_its_rate_and_holds_half_a_second() -> None:
    limit = Limit("message/1", 100)

    assert bucket(idle_s=0.25).take(limit, 1_000)[0] == 25
    assert bucket(idle_s=30).take(limit, 1_000)[0] == 50
    assert bucket(credit=40).take(limit, 15)[1].credit == 25


def test_a_limit_of_one_request_in_two_seconds_lets_one_out_every_two_seconds() -> None:
    slow = Limit("message/1", 0.5)

    assert bucket(idle_s=1.9).take(slow, 10)[0] == 0
    assert bucket(idle_s=2.0).take(slow, 10)[0] == 1


def test_fcm_ramps_up_from_a_thousand_a_second_within_a_minute() -> None:
    limit = lane_limit(PushService.FCM, None)
    assert limit is not None

    assert bucket(busy_s=0).rate(limit) == 1_000
    assert bucket(busy_s=30).rate(limit) == pytest.approx((1_000 + limit.per_second) / 2)
    assert bucket(busy_s=60).rate(limit) == pytest.approx(limit.per_second)


def test_after_a_minute_without_requests_the_ramp_begins_anew() -> None:
    limit = Limit("lane/1/fcm", 8_000, has_ramp=True)

    granted, after = bucket(idle_s=61).take(limit, 10_000)

    assert granted == 500
    assert after.rate(limit) == 1_000


def test_no_minute_sees_more_than_fcms_quota() -> None:
    limit = lane_limit(PushService.FCM, None)
    assert limit is not None

    in_a_minute = limit.per_second * (60 + pacing.BURST_S)
    kept_from_before = limit.per_second * pacing.KEEP_S

    assert in_a_minute + kept_from_before == pytest.approx(600_000)


def test_halved_rates_come_back_by_a_tenth_of_the_limit_each_minute() -> None:
    limit = Limit("lane/1/fcm", 1_000)

    assert bucket(share=0.5, idle_s=0).rate(limit) == 500
    assert bucket(share=0.5, idle_s=60).rate(limit) == pytest.approx(600)
    assert bucket(share=0.5, idle_s=300).rate(limit) == 1_000


@pytest.mark.parametrize(
    ("service", "per_second", "expected"),
    [
        (PushService.FCM, None, pacing.FCM_PER_SECOND),
        (PushService.FCM, 0, None),
        (PushService.FCM, 70, 70),
        (PushService.APNS, None, None),
        (PushService.APNS, 70, 70),
        (PushService.WEBPUSH, None, None),
    ],
)
def test_a_lane_is_limited_as_somebody_set_it_else_by_the_quota_of_its_push_service(
    service: PushService, per_second: int | None, expected: float | None
) -> None:
    limit = lane_limit(service, per_second)

    assert (limit.per_second if limit else None) == expected


def test_the_simulators_have_no_quota() -> None:
    assert lane_limit(PushService.FCM, None, is_simulated=True) is None
    assert lane_limit(PushService.FCM, 70, is_simulated=True) is not None


def test_a_message_may_have_a_limit_beside_its_lanes() -> None:
    limits = limits_of(MessagePace(5, 40), LanePace(1, PushService.APNS, 70, is_simulated=False))

    assert [(limit.per_second, limit.of_message) for limit in limits] == [(70, False), (40, True)]


def test_eight_drains_that_ask_at_once_get_no_more_than_one_would(transactional_db: None) -> None:
    limit = Limit("message/1", 2_000)
    began = time.monotonic()

    def ask() -> int:
        return sum(take(limit, 300) for _ in range(20))

    granted = sum(in_threads(ask, 8))

    elapsed_s = time.monotonic() - began
    assert granted <= 2_000 * (elapsed_s + pacing.BURST_S)
    assert granted >= 1_000


def test_a_drain_asks_once_in_a_quarter_of_a_second(db: None) -> None:
    limit, pacer = Limit("message/1", 100, of_message=True), Pacer()
    assert pacer.allowed([limit], 300) == 50
    pacer.used([limit], 50)
    asked_at = Pace.objects.get().asked_at

    assert [pacer.allowed([limit], 300) for _ in range(100)] == [0] * 100
    assert Pace.objects.get().asked_at == asked_at
    assert pacer.is_slow_message([limit])


def test_the_slowest_of_several_limits_decides(db: None) -> None:
    limits = [Limit("lane/1/fcm", 1_000), Limit("message/1", 20)]

    assert Pacer().allowed(limits, 300) == 10


def test_answers_that_say_quota_together_halve_the_rate_once(db: None) -> None:
    limit = Limit("lane/7/fcm", 1_000)
    take(limit, 1)

    for _ in range(5):
        slow_down(7, PushService.FCM)
    assert Pace.objects.get().share == 0.5

    Pace.objects.update(slowed_at=Now() - timedelta(seconds=60))
    slow_down(7, PushService.FCM)
    assert Pace.objects.get().share == pytest.approx(0.3, abs=0.001)


def test_only_a_429_of_fcm_halves(db: None) -> None:
    for service in (PushService.FCM, PushService.APNS):
        take(Limit(pacing.lane_key(7, service), 1_000), 1)

    heed(7, PushService.FCM, PushOutcome(kind=OutcomeKind.RETRY, http_status=503, whole_lane=True))
    heed(7, PushService.APNS, PushOutcome(kind=OutcomeKind.RETRY, http_status=429, whole_lane=True))
    assert set(Pace.objects.values_list("share", flat=True)) == {1.0}

    heed(7, PushService.FCM, PushOutcome(kind=OutcomeKind.RETRY, http_status=429, whole_lane=True))
    assert Pace.objects.get(pk="lane/7/fcm").share == 0.5


def test_a_lane_that_hits_the_quota_is_slowed_down_and_loses_nobody(stage: Stage) -> None:
    devices = [*stage.devices(40), *stage.devices(1, behaviour="429-1x1")]
    Lane.objects.update_or_create(
        application=stage.application, push_service=PushService.FCM, defaults={"requests_per_second": 1_000}
    )
    occurrence = stage.start("ANDROID")

    ledger = finish(occurrence)

    assert (ledger.targeted, ledger.accepted) == (41, 41)
    assert stage.reached() == tokens(devices)
    assert Pace.objects.get().share == 0.5


def test_a_claimed_batch_knows_the_limits_of_its_lane_and_message(stage: Stage) -> None:
    Application.objects.update(is_simulated=False)
    stage.devices(1)
    occurrence = stage.start("ANDROID", requests_per_second=40)
    fanout.plan_next_page()

    batch = batches.claim("tester")

    assert batch is not None
    assert batch.limits == (
        Limit(f"lane/{stage.application.pk}/fcm", pacing.FCM_PER_SECOND, has_ramp=True),
        Limit(f"message/{occurrence.message_id}", 40, of_message=True),
    )


def test_two_processes_send_a_limited_message_at_its_limit_together(stage: Stage) -> None:
    stage.devices(3_000)
    occurrence = stage.start("ANDROID", requests_per_second=500)

    drains = [drain_process() for _ in range(2)]
    assert [drain.wait(40) for drain in drains] == [0, 0]

    assert ledger_of(fresh(occurrence)).accepted == 3_000
    moments = sorted(float(entry["time"]) for entry in stage.requests("fcm"))
    # after what the bucket had saved for the first half second
    settled = moments[500:]
    rate = (len(settled) - 1) / (settled[-1] - settled[0])
    # 500 on a machine with time for it; never more
    assert 350 <= rate <= 550


def test_a_limited_message_does_not_hold_up_another_in_its_lane(stage: Stage) -> None:
    stage.devices(200, channels=("slow",))
    stage.devices(200, channels=("fast",))
    slow = stage.start("ANDROID", channel_name="slow", requests_per_second=20)
    fast = stage.start("ANDROID", channel_name="fast")

    drain = drain_process()
    try:
        wait_until(lambda: ledger_of(fresh(fast)).accepted == 200, 15, "the fast message")
        assert ledger_of(fresh(slow)).pending > 0
    finally:
        drain.kill()
        drain.wait(10)


def test_a_limited_message_expires_while_it_waits(stage: Stage) -> None:
    stage.devices(100)
    occurrence = stage.start("ANDROID", requests_per_second=10, ttl=timedelta(seconds=2))

    ledger = finish(occurrence)

    assert 10 <= ledger.accepted <= 40
    assert ledger.skipped == 100 - ledger.accepted
