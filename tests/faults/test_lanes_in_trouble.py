"""Push services in trouble under running workers: who waits, for how long, and who is not held up (F-17 to F-36)."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from statistics import median

import pytest

from messaging.ledger import ledger_of
from messaging.models import Occurrence
from tests.faults.clarion import duplicates, is_closed, sender
from tests.messaging.processes import report
from tests.messaging.stage import Stage, active, check_books, fresh, tokens, wait_until

pytestmark = pytest.mark.fault

_LIVE = ("IOS", "WP", "WEB")
_LIVE_SERVICES = ("apns", "wns", "webpush")
_OF_A_LANE = 1_000
#: so that the window decides how fast requests leave, and not what else this machine does
_LATENCY_MS = 500
#: whatever else this machine does makes a campaign slower, never faster
_BEST_OF = 2


def times_by_token(stage: Stage, service: str) -> dict[str, list[float]]:
    """When each token of a push service was sent to."""
    times = defaultdict(list)
    for entry in stage.requests(service):
        times[entry["token"]].append(entry["time"])
    return times


def reached_all(stage: Stage, services: tuple[str, ...], count: int) -> bool:
    return len({entry["token"] for entry in stage.requests() if entry["service"] in services}) >= count


def test_nobody_comes_back_before_a_retry_after_is_over_and_other_lanes_go_on(stage: Stage) -> None:
    # few: each 429 stops the lane for everybody, so a round of 20 s brings only what was on the wire with it further
    asked_to_wait, well = stage.devices(15, "ANDROID", "429-20x1"), stage.devices(35)
    ios = stage.devices(3_000, "IOS")
    with sender():
        occurrence = stage.publish("ANDROID", "IOS")
        took = wait_until(lambda: is_closed(occurrence), 180, "the campaign to end")

    times = times_by_token(stage, "fcm")
    waits = [times[token][1] - times[token][0] for token in tokens(asked_to_wait)]
    first_429 = min(entry["time"] for entry in stage.requests("fcm") if entry["status"] == 429)
    early = [moment for moments in times.values() for moment in moments if first_429 + 2 < moment < first_429 + 20]
    last_ios = max(entry["time"] for entry in stage.requests("apns"))
    report(
        f"429-20 for 30 %: shortest wait {min(waits):.1f} s, {len(early)} requests of the lane within, "
        f"APNs done {last_ios - first_429:.1f} s after the first 429, campaign ended after {took:.1f} s"
    )
    assert check_books(occurrence).accepted == len(asked_to_wait) + len(well) + len(ios)
    assert {len(times[token]) for token in tokens(asked_to_wait)} == {2}
    assert {len(times[token]) for token in tokens(well)} == {1}
    assert min(waits) >= 20
    assert early == []
    assert last_ios - first_429 < 15


def test_devices_that_failed_together_do_not_come_back_together(stage: Stage) -> None:
    """A burst of 500s: the second requests are spread over the half of their wait again."""
    devices = stage.devices(3_000, "ANDROID", "500x1")
    with sender():
        occurrence = stage.publish("ANDROID")
        took = wait_until(lambda: is_closed(occurrence), 120, "the campaign to end")

    second = sorted(moments[1] for moments in times_by_token(stage, "fcm").values())
    per_second = Counter(int(moment) for moment in second)
    span = second[-1] - second[0]
    mean = len(second) / max(1.0, span)
    report(
        f"500 for 3,000 devices: second requests within {span:.1f} s, at most {max(per_second.values())} in a second "
        f"(mean {mean:.0f}), ended after {took:.1f} s"
    )
    assert len(second) == len(devices)
    assert max(per_second.values()) < 2 * mean
    assert span >= 4


def test_a_push_service_that_falls_silent_for_a_while_gets_everything_in_the_end(stage: Stage) -> None:
    devices, ios = stage.devices(2_000), stage.devices(2_000, "IOS")
    with sender():
        stage.simulators.set_mode("apns", "hang")
        occurrence = stage.publish("ANDROID", "IOS")
        android_took = wait_until(lambda: reached_all(stage, ("fcm",), len(devices)), 30, "every Android device")
        time.sleep(max(0.0, 25 - android_took))
        stage.simulators.set_mode("apns")
        took = wait_until(lambda: is_closed(occurrence), 120, "the campaign to end")

    counts = Counter(entry["token"] for entry in stage.requests("apns"))
    report(
        f"APNs silent for 25 s: Android took {android_took:.1f} s, all ended {took:.1f} s after it spoke again, "
        f"{sum(counts.values()) - len(ios)} requests in doubt were sent again"
    )
    assert android_took < 15
    assert took <= 60
    assert check_books(occurrence).accepted == len(devices) + len(ios)
    assert sum(count > 1 for count in counts.values()) <= 400


def test_half_a_dead_audience_is_sent_to_about_as_fast_as_a_live_one(stage: Stage) -> None:
    live = stage.devices(4_000, "IOS", channels=("live",))
    half = [
        *stage.devices(2_000, "IOS", channels=("half",)),
        *(dead := stage.devices(2_000, "IOS", "dead", channels=("half",))),
    ]
    with sender():
        _timed(stage.publish("IOS", channel_name="live"))
        clean = [_timed(stage.publish("IOS", channel_name="live")) for _ in range(2)]
        occurrence = stage.publish("IOS", channel_name="half")
        took = _timed(occurrence)

    ledger = check_books(occurrence)
    report(f"half dead: {took:.1f} s for {len(half):,} devices, {median(clean):.1f} s for {len(live):,} live ones")
    assert (ledger.accepted, ledger.failed, active(dead)) == (2_000, 2_000, 0)
    assert median(clean) / took >= 0.7


def _timed(occurrence: Occurrence) -> float:
    """Seconds from publish to the last outcome, by the database's clock."""
    wait_until(lambda: is_closed(occurrence), 60, "the campaign to end")
    ended = fresh(occurrence)
    assert ended.closed_at is not None
    return (ended.closed_at - ended.due_at).total_seconds()


@pytest.mark.parametrize("trouble", ["503-5", "hang", "403"])
def test_one_lane_in_trouble_slows_the_others_by_less_than_a_tenth(stage: Stage, trouble: str) -> None:
    for name in _LIVE:
        stage.devices(_OF_A_LANE, name)
    stage.devices(1_000)
    stage.simulators.set_mode("*", latency_ms=_LATENCY_MS)
    with sender():
        _live_lanes_take(stage, *_LIVE)  # opens the connections
        alone = min(_live_lanes_take(stage, *_LIVE) for _ in range(_BEST_OF))
        stage.simulators.set_mode("fcm", trouble, latency_ms=_LATENCY_MS)
        beside = min(_live_lanes_take(stage, *_LIVE, "ANDROID") for _ in range(_BEST_OF))

    rate = alone / beside
    report(f"FCM {trouble}: three live lanes take {beside:.2f} s, {alone:.2f} s alone: {rate:.0%}")
    assert rate >= 0.9


def _live_lanes_take(stage: Stage, *os_names: str) -> float:
    """Seconds from the first to the last request to a live lane of a new campaign."""
    before = len([entry for entry in stage.requests() if entry["service"] in _LIVE_SERVICES])
    occurrence = stage.publish(*os_names)
    wait_until(lambda: ledger_of(fresh(occurrence)).accepted >= 3 * _OF_A_LANE, 60, "the live lanes")
    live = [entry for entry in stage.requests() if entry["service"] in _LIVE_SERVICES]
    times = [float(entry["time"]) for entry in live[before:]]
    assert len(times) == 3 * _OF_A_LANE
    return max(times) - min(times)


def test_tokens_of_the_wrong_environment_pause_the_lane_under_running_workers(stage: Stage) -> None:
    devices, android = stage.devices(4_000, "IOS", "bad"), stage.devices(1_000)
    with sender():
        occurrence = stage.publish("ANDROID", "IOS")
        wait_until(lambda: reached_all(stage, ("fcm",), len(android)), 30, "every Android device")
        wait_until(lambda: ledger_of(fresh(occurrence)).accepted == len(android), 30, "their outcomes")

    asked = len(stage.requests("apns"))
    report(f"all tokens of the wrong environment: {asked} requests with two workers, {active(devices)} of 4,000 kept")
    assert active(devices) == len(devices)
    assert asked <= 400
    assert ledger_of(fresh(occurrence)).pending >= 4_000 - asked
    assert duplicates(stage) == 0
