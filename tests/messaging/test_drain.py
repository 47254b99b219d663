"""Sending: every device of a campaign is reached once and accounted for, whatever the push services answer."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter

import pytest
from django.conf import settings
from django.db import connection

from devices.push_services import PushService
from messaging import fanout
from messaging.drain import Drain
from messaging.ledger import failure_groups, ledger_of
from messaging.models import Batch, DeliveryOutcome, Lane, LaneState, MessageStatus, Occurrence, OccurrenceState
from messaging.publishing import cancel
from messaging.secrets import store_credential
from messaging.simulators.accounts import demo_accounts
from tests.messaging.stage import (
    Stage,
    active,
    bring_forward,
    check_books,
    drain_process,
    finish,
    fresh,
    let_lease_lapse,
    message_of,
    tokens,
    wait_until,
)


def outcomes(occurrence: Occurrence) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for group in failure_groups(occurrence):
        counts[str(group.outcome), group.reason] += group.devices
    return counts


def cut_off(stage: Stage, service: str) -> None:
    """End the connections on which nothing is answered."""
    stage.simulators.set_mode(service, certificate="expired")
    stage.simulators.set_mode(service)


def test_each_device_gets_one_request_and_one_outcome(stage: Stage) -> None:
    devices = [*stage.devices(30), *stage.devices(30, "IOS"), *stage.devices(5, "WP"), *stage.devices(10, "WEB")]

    occurrence = stage.start("ANDROID", "IOS", "WP", "WEB")
    Drain().run()

    ledger = check_books(occurrence)
    assert (ledger.targeted, ledger.accepted, ledger.pending) == (75, 75, 0)
    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)
    assert (fresh(occurrence).state, message_of(occurrence).status) == (OccurrenceState.DONE, MessageStatus.PUBLISHED)


def test_web_push_bodies_decrypt_to_the_message(stage: Stage) -> None:
    devices = stage.devices(3, "WEB")

    stage.send("WEB", headers={"web-title": "Grüße", "web-text": "from Clarion"})

    shown = [entry["notification"] for entry in stage.requests("webpush")]
    assert [(content["title"], content["body"]) for content in shown] == [("Grüße", "from Clarion")] * len(devices)


def test_every_kind_of_answer_is_accounted_for(stage: Stage) -> None:
    stage.devices(40)
    for behaviour in ("dead", "403", "500x1", "502x1", "truncatedx1", "resetx1", "cutx1", "unknown"):
        if behaviour != "403":
            stage.devices(2, "ANDROID", behaviour)
    stage.devices(40, "IOS")
    for behaviour in ("dead", "expired", "429-1x1", "500x1", "plainx1", "hugex1", "404"):
        stage.devices(2, "IOS", behaviour)
    for behaviour in ("", "dead", "dropped", "throttledx1", "500x1", "403"):
        stage.devices(2, "WP", behaviour)
    for behaviour in ("", "dead", "500x1", "413", "301", "403"):
        stage.devices(2, "WEB", behaviour)

    occurrence = stage.start("ANDROID", "IOS", "WP", "WEB")
    ledger = finish(occurrence)

    assert ledger.pending == 0
    assert ledger.targeted == 40 + 14 + 40 + 14 + 12 + 12
    assert ledger.accepted == 40 + 10 + 40 + 8 + 6 + 4
    assert sum(outcomes(fresh(occurrence)).values()) == ledger.failed + ledger.skipped


def test_the_books_balance_while_it_is_being_sent(stage: Stage) -> None:
    stage.devices(300)
    stage.devices(100, "ANDROID", "slow-300")
    occurrence = stage.start("ANDROID")
    process = drain_process()
    seen = set()
    while process.poll() is None:
        seen.add(check_books(occurrence).pending)

    assert check_books(occurrence).pending == 0
    assert len(seen) > 2


def test_a_device_unregistered_after_planning_is_skipped_and_gets_nothing(stage: Stage) -> None:
    kept, left = stage.devices(3), stage.devices(2)
    occurrence = stage.start("ANDROID")
    Drain()._plan()
    for device in left:
        device.state = "gone"
        device.save()
    Drain().run()

    assert stage.reached() == tokens(kept)
    assert outcomes(fresh(occurrence)) == {("unregistered", ""): 2}


def test_a_token_that_cannot_be_addressed_costs_only_its_own_device(stage: Stage) -> None:
    good, bad = stage.devices(3, "WP"), stage.devices(1, "WP")
    bad[0].token = "https://192.168.0.1/w/token"
    bad[0].save()

    occurrence = stage.start("WP")
    Drain().run()

    assert stage.reached() == tokens(good)
    assert outcomes(fresh(occurrence)) == {("not_sendable", "InvalidTarget"): 1}


# dead tokens and faults of ours


def test_dead_tokens_are_deactivated_and_not_sent_to_again(stage: Stage) -> None:
    live, dead = stage.devices(4), [*stage.devices(2, "ANDROID", "dead"), *stage.devices(2, "IOS", "dead")]
    stage.send("ANDROID", "IOS")
    assert (active(live), active(dead)) == (4, 0)
    stage.simulators.reset()

    stage.send("ANDROID", "IOS")

    assert stage.reached() == tokens(live)


def test_half_a_dead_audience_is_no_reason_to_stop(stage: Stage) -> None:
    live, dead = stage.devices(300, "IOS"), stage.devices(300, "IOS", "dead")

    ledger = stage.send("IOS")

    assert (ledger.accepted, ledger.failed) == (300, 300)
    assert (active(live), active(dead)) == (300, 0)


def test_tokens_of_the_wrong_environment_pause_the_lane_and_deactivate_nobody(stage: Stage) -> None:
    devices = stage.devices(1_000, "IOS", "bad")

    occurrence = stage.start("IOS")
    Drain().run()

    lane = Lane.objects.get(push_service="apns")
    assert lane.state == LaneState.PAUSED
    assert "sandbox or production" in lane.paused_because
    assert active(devices) == 1_000
    assert len(stage.requests("apns")) <= 400
    assert ledger_of(fresh(occurrence)).pending >= 600


def test_a_lane_paused_for_many_doubtful_refusals_names_them(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.devices(160, "IOS", "bad")
    stage.devices(40, "IOS")

    stage.send("IOS")

    assert "like BadDeviceToken:" in Lane.objects.get(push_service="apns").paused_because
    assert "lane paused: APNs BadDeviceToken, 80% of the answers" in caplog.text


@pytest.mark.parametrize(("os_name", "service"), [("ANDROID", "fcm"), ("IOS", "apns")])
def test_a_proxy_that_sends_everything_elsewhere_costs_no_whole_campaign(
    stage: Stage, os_name: str, service: str
) -> None:
    stage.devices(1_000, os_name)
    stage.simulators.set_mode(service, "302")

    occurrence = stage.start(os_name)
    Drain().run()

    lane = Lane.objects.get(push_service=service)
    assert (lane.state, lane.last_failure) == (LaneState.PAUSED, "HTTP 302")
    assert ledger_of(fresh(occurrence)).pending >= 600


def test_a_campaign_whose_last_answer_pauses_the_lane_is_closed(stage: Stage) -> None:
    stage.devices(200, "IOS", "bad")

    occurrence = stage.start("IOS")
    Drain().run()

    assert Lane.objects.get(push_service="apns").state == LaneState.PAUSED
    assert ledger_of(fresh(occurrence)).failed == 200
    assert fresh(occurrence).closed_at is not None


def test_a_few_refused_tokens_among_many_good_ones_are_believed(stage: Stage) -> None:
    good = stage.devices(100, "IOS")
    bad = stage.devices(3, "IOS", "bad")

    stage.send("IOS")

    assert (active(good), active(bad)) == (100, 0)


@pytest.mark.parametrize("fault", ["401", "403"])
def test_a_refused_fcm_credential_pauses_the_lane_until_somebody_resumes_it(stage: Stage, fault: str) -> None:
    devices = stage.devices(500)
    stage.simulators.set_mode("fcm", fault)
    occurrence = stage.start("ANDROID")
    Drain().run()

    assert Lane.objects.get(push_service="fcm").state == LaneState.PAUSED
    assert ledger_of(fresh(occurrence)).pending == 500
    assert len(stage.requests("fcm")) <= 30

    stage.simulators.reset()
    Drain().run()
    assert stage.requests("fcm") == []  # still paused

    credential = demo_accounts(settings.DATA_DIR, stage.simulators.urls)["fcm"]
    store_credential(stage.application, PushService.FCM, credential)
    ledger = finish(occurrence)

    assert (ledger.accepted, active(devices)) == (500, 500)
    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)


@pytest.mark.parametrize("fault", ["401", "403"])
def test_a_refused_vapid_key_fails_three_devices_before_the_lane_is_paused(stage: Stage, fault: str) -> None:
    devices = stage.devices(300, "WEB")
    stage.simulators.set_mode("webpush", fault)
    occurrence = stage.start("WEB")
    Drain().run()

    assert Lane.objects.get(push_service="webpush").state == LaneState.PAUSED
    assert (ledger_of(fresh(occurrence)).failed, ledger_of(fresh(occurrence)).pending) == (3, 297)
    assert len(stage.requests("webpush")) <= 10

    stage.simulators.reset()
    Lane.objects.update(state=LaneState.OPEN)
    ledger = finish(occurrence)

    assert (ledger.accepted, ledger.failed, active(devices)) == (297, 3, 300)


def test_a_few_subscriptions_of_another_vapid_key_stop_nobody(stage: Stage) -> None:
    stage.devices(100, "WEB")
    stage.devices(10, "WEB", "403")

    ledger = stage.send("WEB")

    assert (ledger.accepted, ledger.failed) == (100, 10)


def test_a_credential_revoked_in_mid_campaign_costs_no_device(stage: Stage) -> None:
    devices = stage.devices(2_000)
    stage.simulators.set_mode("fcm", latency_ms=100)
    occurrence = stage.start("ANDROID")
    revoking = threading.Thread(target=_once_sent, args=(stage, 300, lambda: stage.simulators.set_mode("fcm", "403")))
    revoking.start()
    Drain().run()
    revoking.join()
    refused = sum(entry["status"] == 403 for entry in stage.requests())

    stage.simulators.set_mode("fcm", "normal")
    Lane.objects.update(state=LaneState.OPEN)
    ledger = finish(occurrence)

    assert (ledger.accepted, active(devices)) == (2_000, 2_000)
    assert 0 < refused <= 300  # what was on the wire
    accepted = Counter(entry["token"] for entry in stage.requests() if entry["status"] == 200)
    assert accepted == dict.fromkeys(tokens(devices), 1)


@pytest.mark.parametrize("fault", ["401", "403"])
def test_two_drains_stop_by_themselves_when_a_credential_is_revoked(stage: Stage, fault: str) -> None:
    devices = stage.devices(4_000)
    stage.simulators.set_mode("fcm", latency_ms=100)
    occurrence = stage.start("ANDROID")
    while fanout.plan_next_page():
        pass
    processes = [drain_process(), drain_process()]
    _once_sent(stage, 600, lambda: stage.simulators.set_mode("fcm", fault, latency_ms=100))
    for process in processes:
        assert process.wait(60) == 0
    refused = sum(entry["status"] == int(fault) for entry in stage.requests())

    stage.simulators.set_mode("fcm", "normal")
    Lane.objects.update(state=LaneState.OPEN)
    ledger = finish(occurrence)

    assert 0 < refused <= 2 * (200 + 20)  # what was on the wire, and a try with a new access token
    assert (ledger.accepted, active(devices)) == (4_000, 4_000)
    accepted = Counter(entry["token"] for entry in stage.requests() if entry["status"] == 200)
    assert accepted == dict.fromkeys(tokens(devices), 1)


def test_two_drains_find_out_about_the_wrong_environment_with_400_requests(stage: Stage) -> None:
    devices = stage.devices(3_000, "IOS", "bad")
    stage.start("IOS")
    while fanout.plan_next_page():
        pass
    processes = [drain_process(), drain_process()]
    for process in processes:
        assert process.wait(60) == 0

    assert Lane.objects.get(push_service="apns").state == LaneState.PAUSED
    assert active(devices) == 3_000
    assert len(stage.requests("apns")) <= 400


def test_a_credential_changed_while_sending_neither_loses_nor_doubles_anybody(stage: Stage) -> None:
    devices = stage.devices(2_500)
    stage.simulators.set_mode("fcm", latency_ms=200)
    occurrence = stage.start("ANDROID")
    credential = demo_accounts(settings.DATA_DIR, stage.simulators.urls)["fcm"]

    def change() -> None:
        store_credential(stage.application, PushService.FCM, credential)
        connection.close()

    changing = threading.Thread(target=_once_sent, args=(stage, 300, change))
    changing.start()
    Drain().run()
    changing.join()

    assert ledger_of(fresh(occurrence)).accepted == 2_500
    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)


def test_an_expired_access_token_is_renewed_once_and_every_device_reached(stage: Stage) -> None:
    devices = stage.devices(8, "WP")
    stage.simulators.set_mode("wns", "401", first=1)

    ledger = stage.send("WP")

    assert (ledger.accepted, active(devices)) == (8, 8)
    assert stage.token_requests("wns_token") == 2


def test_one_access_token_serves_a_whole_campaign(stage: Stage) -> None:
    stage.devices(1_200)
    stage.devices(20, "WP")

    ledger = stage.send("ANDROID", "WP")

    assert ledger.accepted == 1_220
    assert (stage.token_requests("google_token"), stage.token_requests("wns_token")) == (1, 1)
    assert len({entry["headers"]["authorization"] for entry in stage.requests("fcm")}) == 1


def test_a_payload_refused_alike_is_not_tried_on_the_whole_audience(stage: Stage) -> None:
    stage.devices(1_500)
    stage.simulators.set_mode("fcm", "413")

    occurrence = stage.start("ANDROID")
    Drain().run()

    assert len(stage.requests("fcm")) <= 30
    ledger = ledger_of(fresh(occurrence))
    assert (ledger.failed, ledger.pending) == (1_500, 0)
    message = message_of(occurrence)
    assert message.status == MessageStatus.FAILED
    assert "FCM refused 1500 devices" in message.error_message


# waiting


def test_a_429_is_obeyed_to_the_second_and_then_succeeds(stage: Stage) -> None:
    devices = stage.devices(8)
    stage.simulators.set_mode("fcm", "429-2", first=1)
    occurrence = stage.start("ANDROID")
    give_up_at = time.monotonic() + 30
    while fresh(occurrence).closed_at is None and time.monotonic() < give_up_at:
        Drain().run()
        time.sleep(0.1)

    requests = stage.requests("fcm")
    assert ledger_of(fresh(occurrence)).accepted == len(devices)
    for token in tokens(devices):
        times = [entry["time"] for entry in requests if entry["token"] == token]
        assert len(times) == 2 and times[1] - times[0] >= 2.0


def test_a_device_that_hangs_does_not_hold_up_the_others(stage: Stage) -> None:
    hanging, well = stage.devices(2, "ANDROID", "hang"), stage.devices(1_300)
    occurrence = stage.start("ANDROID")
    process = drain_process()
    wait_until(lambda: bool(stage.requests()), 60, "the first request")
    # a request may take 15 s
    wait_until(lambda: ledger_of(fresh(occurrence)).accepted == len(well), 14, "all but the hanging devices")
    process.kill()
    process.wait()

    assert ledger_of(fresh(occurrence)).pending == len(hanging)


def test_a_push_service_that_hangs_does_not_hold_up_the_others(stage: Stage) -> None:
    stage.devices(1_500, "IOS")
    stage.devices(1_300)
    stage.simulators.set_mode("apns", "hang")
    occurrence = stage.start("ANDROID", "IOS")
    process = drain_process()
    wait_until(lambda: bool(stage.requests("fcm")), 60, "the first request")
    wait_until(lambda: ledger_of(fresh(occurrence)).accepted == 1_300, 14, "every Android device")
    process.kill()
    process.wait()

    assert ledger_of(fresh(occurrence)).pending == 1_500


def test_a_drain_whose_time_is_over_goes_on_beside_a_push_service_that_hangs(stage: Stage) -> None:
    stage.devices(20, "IOS")
    stage.devices(1_000)
    stage.simulators.set_mode("apns", "hang")
    stage.simulators.set_mode("fcm", latency_ms=1_000)
    occurrence = stage.start("ANDROID", "IOS")
    cutting = threading.Thread(target=_once_sent, args=(stage, 1_000, lambda: cut_off(stage, "apns")))
    cutting.start()
    drain = Drain()
    drain._stop_at = time.monotonic() + 3  # before the thousand can be over
    drain.run()
    cutting.join()

    assert check_books(occurrence).accepted >= 1_000


# cancelling


def test_a_message_cancelled_while_sending_starts_no_request_after_two_seconds(stage: Stage) -> None:
    stage.devices(3_000)
    stage.simulators.set_mode("fcm", latency_ms=400)
    occurrence = stage.start("ANDROID")
    process = drain_process()
    wait_until(lambda: len(stage.requests()) > 200, 20, "the campaign to run")
    cancel(message_of(occurrence))
    cancelled_at = time.time()
    process.wait(60)

    assert max(entry["time"] for entry in stage.requests()) <= cancelled_at + 2.0
    ledger = check_books(occurrence)
    assert ledger.pending == 0
    assert ledger.accepted == len(stage.requests())
    assert outcomes(fresh(occurrence)) == {("cancelled", ""): ledger.skipped}
    assert message_of(occurrence).status == MessageStatus.CANCELLED


# interruptions


def test_what_an_interrupted_drain_had_recorded_is_not_sent_again(stage: Stage) -> None:
    devices = stage.devices(1_500)
    stage.simulators.set_mode("fcm", latency_ms=150)
    occurrence = stage.start("ANDROID")
    process = drain_process()
    wait_until(lambda: ledger_of(fresh(occurrence)).accepted >= 400, 20, "some outcomes")
    process.kill()
    process.wait()
    recorded = ledger_of(fresh(occurrence)).accepted
    arrived = len(stage.requests())

    Drain().run()
    assert ledger_of(fresh(occurrence)).pending > 0  # leased to the dead
    let_lease_lapse(occurrence)
    ledger = finish(occurrence)

    assert (ledger.accepted, stage.reached()) == (1_500, tokens(devices))
    doubled = sum(stage.requests_by_token().values()) - 1_500
    assert doubled <= arrived - recorded <= 300


def test_a_drain_that_lost_its_lease_writes_nothing(stage: Stage) -> None:
    stage.devices(30, "ANDROID", "slow-1500")
    occurrence = stage.start("ANDROID")
    process = drain_process()
    wait_until(lambda: bool(stage.requests()), 20, "the first request")
    # what a stop of 45 s and another worker do
    Batch.objects.filter(occurrence=occurrence).update(attempt=7, owner="another")
    process.wait(60)

    assert check_books(occurrence).accepted == 0
    assert Batch.objects.get().state == "sending"
    let_lease_lapse(occurrence)
    assert finish(occurrence).accepted == 30


def test_a_drain_that_stood_still_doubles_no_more_than_it_had_on_the_wire(stage: Stage) -> None:
    devices = stage.devices(1_500)
    stage.simulators.set_mode("fcm", latency_ms=300)
    occurrence = stage.start("ANDROID")
    process = drain_process()
    wait_until(lambda: ledger_of(fresh(occurrence)).accepted >= 200, 60, "some outcomes")
    process.send_signal(signal.SIGSTOP)
    stopped_at = time.monotonic()
    let_lease_lapse(occurrence)
    assert finish(occurrence, timeout_s=60).accepted == 1_500
    # longer than it trusts its leases
    wait_until(lambda: time.monotonic() > stopped_at + 6, 10, "the stop to be long")
    process.send_signal(signal.SIGCONT)

    assert process.wait(60) == 0
    assert stage.reached() == tokens(devices)
    assert len(stage.requests()) - 1_500 <= 300
    assert check_books(occurrence).accepted == 1_500


def test_a_drain_that_stood_still_takes_the_answers_that_came_before_it_gives_up(stage: Stage) -> None:
    stage.devices(30)
    stage.simulators.set_mode("fcm", latency_ms=500)
    occurrence = stage.start("ANDROID")
    drain = Drain()
    drain._look_for_work()
    wait_until(lambda: drain._fill() or drain._receive() or len(stage.requests()) == 10, 20, "ten requests")  # type: ignore[func-returns-value]
    answered_at = time.monotonic() + 1
    wait_until(lambda: time.monotonic() > answered_at, 2, "their answers")
    drain._stop_at -= 60  # as if PostgreSQL had not answered for a minute
    drain._tended_at -= 60

    drain.run()

    assert check_books(occurrence).accepted == 10
    assert len(stage.requests()) == 10


def test_a_drain_that_stood_still_starts_no_request_before_it_has_seen_its_leases(stage: Stage) -> None:
    stage.devices(30)
    occurrence = stage.start("ANDROID")
    drain = Drain()
    drain._tended_at -= 5.5  # as if all this time had passed without a round

    drain._look_for_work()
    drain._fill()
    assert [run.on_wire for run in drain._runs] == [0]

    drain.run()
    assert ledger_of(fresh(occurrence)).accepted == 30


def test_two_drains_share_a_campaign_without_a_duplicate(stage: Stage) -> None:
    devices = [*stage.devices(3_000), *stage.devices(1_500, "IOS")]
    stage.simulators.set_mode("*", latency_ms=300)
    occurrence = stage.start("ANDROID", "IOS")
    while fanout.plan_next_page():
        pass
    processes = [drain_process(), drain_process()]
    for process in processes:
        assert process.wait(60) == 0

    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)
    assert check_books(occurrence).accepted == 4_500
    assert len(set(Batch.objects.values_list("owner", flat=True))) == 2


def test_a_device_is_given_up_after_eight_requests(stage: Stage) -> None:
    stage.devices(1, "ANDROID", "500")
    stage.devices(20)

    occurrence = stage.start("ANDROID")
    finish(occurrence)

    assert max(stage.requests_by_token().values()) == 8
    assert outcomes(fresh(occurrence)) == {(str(DeliveryOutcome.EXHAUSTED), "INTERNAL"): 1}


def test_a_missing_credential_pauses_the_lane_and_leaves_the_other_services_alone(stage: Stage) -> None:
    ios, android = stage.devices(3, "IOS"), stage.devices(3)
    stage.application.credentials.filter(push_service="apns").delete()

    ledger = stage.send("ANDROID", "IOS")

    assert (ledger.accepted, ledger.pending) == (len(android), len(ios))
    assert Lane.objects.get(push_service="apns").paused_because == "No credential for APNs has been set."


def test_a_token_endpoint_that_is_down_makes_the_lane_wait(stage: Stage) -> None:
    stage.devices(3)
    stage.simulators.set_mode("google_token", "503-20")

    occurrence = stage.start("ANDROID")
    Drain().run()
    assert Lane.objects.get(push_service="fcm").state == LaneState.THROTTLED
    assert stage.requests() == []

    stage.simulators.reset()
    bring_forward()
    Drain().run()
    assert ledger_of(fresh(occurrence)).accepted == 3


def _once_sent(stage: Stage, requests: int, then: object) -> None:
    wait_until(lambda: len(stage.requests()) >= requests, 60, f"{requests} requests")
    then()  # type: ignore[operator]


def test_a_drain_whose_database_goes_away_keeps_the_answers_and_doubles_nobody(stage: Stage) -> None:
    devices = stage.devices(1_500)
    stage.simulators.set_mode("fcm", latency_ms=200)
    occurrence = stage.start("ANDROID")
    process = drain_process(quiet=True)
    wait_until(lambda: len(stage.requests()) > 300, 20, "the campaign to run")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert process.wait(60) != 0
    assert not Batch.objects.filter(state="sending").exists()

    assert finish(occurrence).accepted == 1_500
    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)
