"""The window: what a crash can double is bounded, and no lane takes another's part of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import count
from typing import cast

from devices.push_services import PushService
from messaging.batch_run import BatchRun
from messaging.batches import ClaimedBatch
from messaging.guard import ENOUGH_ANSWERS, DropGuard
from messaging.models import DeliveryOutcome
from messaging.providers.base import Prepared, Provider, Target
from messaging.senders import Sender
from messaging.verdicts import Result
from messaging.window import WINDOW, Window

_numbers = count(1)
BATCH = 1_000


def lane() -> Provider:
    """Only who it is matters: nothing is sent."""
    return cast(Provider, object())


def run_in(provider: Provider, *, devices: int = BATCH, guard: DropGuard | None = None) -> BatchRun:
    ids = list(range(1, devices + 1))
    batch = ClaimedBatch(
        pk=next(_numbers),
        occurrence_id=next(_numbers),
        application_pk=1,
        push_service=PushService.FCM,
        registration_ids=ids,
        attempt=1,
        tries=0,
        fired_on=date(2026, 1, 1),
        turn=0,
        is_cancelled=False,
        life_s=None,
        may_resend=True,
        begun=0,
    )
    sender = Sender(provider, cast(Prepared, object()))
    return BatchRun(batch, sender, [Target(pk, "token") for pk in ids], guard or DropGuard())


def send(window: Window, runs: Sequence[BatchRun]) -> list[int]:
    """Let leave what may; how many of each run are on the wire then."""
    window.divide()
    for run in runs:
        for _ in range(window.allowance(run)):
            run.unsent.popleft()
            run.on_wire += 1
    return [run.on_wire for run in runs]


def answer(window: Window, run: BatchRun, requests: int) -> None:
    """Requests of the run are accepted and, as the drain does, written."""
    run.on_wire -= requests
    window.prove(run)


def test_a_message_nobody_has_accepted_yet_sends_ten() -> None:
    run = run_in(lane())

    assert send(Window([run]), [run]) == [10]


def test_one_lane_alone_may_fill_the_wire() -> None:
    run = run_in(lane())
    window = Window([run])
    window.prove(run)

    assert send(window, [run]) == [200]


def test_two_lanes_share_the_wire_evenly() -> None:
    runs = [run_in(lane()), run_in(lane())]
    window = Window(runs)
    for run in runs:
        window.prove(run)

    assert send(window, runs) == [100, 100]


def test_a_lane_that_hangs_from_the_start_leaves_the_wire_to_the_other() -> None:
    runs = [run_in(lane()), run_in(lane())]
    window = Window(runs)
    window.prove(runs[1])

    assert send(window, runs) == [10, 190]


def test_a_lane_gets_what_another_has_no_use_for() -> None:
    runs = [run_in(lane(), devices=30), run_in(lane())]
    window = Window(runs)
    for run in runs:
        window.prove(run)

    assert send(window, runs) == [30, 170]


def test_batches_of_one_lane_share_its_part() -> None:
    crowded = lane()
    runs = [run_in(crowded), run_in(crowded), run_in(lane())]
    window = Window(runs)
    for run in runs:
        window.prove(run)

    on_wire = send(window, runs)

    assert (sum(on_wire[:2]), on_wire[2]) == (100, 100)


def test_a_lane_that_comes_when_another_hangs_with_the_whole_wire_still_sends() -> None:
    runs = [run_in(lane())]
    window = Window(runs)
    window.prove(runs[0])
    send(window, runs)
    runs.append(run_in(lane()))
    send(window, runs)
    window.prove(runs[1])

    assert send(window, runs) == [200, 100]


def test_a_lane_whose_answers_stay_out_leaves_its_part_to_the_others_but_for_ten() -> None:
    hanging, well = run_in(lane()), run_in(lane())
    window = Window([hanging, well])
    window.prove(hanging)
    window.prove(well)
    assert send(window, [hanging, well]) == [100, 100]
    window.heard(well.provider)

    window._heard_at[hanging.provider] -= 2.1

    assert send(window, [hanging, well]) == [100, 190]
    assert window.has_silent_lane


def test_a_lane_that_speaks_again_gets_its_part_again() -> None:
    slow, well = run_in(lane()), run_in(lane())
    window = Window([slow, well])
    window.prove(slow)
    window.prove(well)
    send(window, [slow, well])
    window._heard_at[slow.provider] -= 2.1
    send(window, [slow, well])

    answer(window, slow, 100)
    answer(window, well, 190)
    window.heard(slow.provider)

    assert send(window, [slow, well]) == [100, 100]
    assert not window.has_silent_lane


def test_a_slow_lane_alone_keeps_the_whole_wire() -> None:
    slow = run_in(lane())
    window = Window([slow])
    window.prove(slow)
    send(window, [slow])
    answer(window, slow, 50)

    window._heard_at[slow.provider] -= 2.1

    assert send(window, [slow]) == [200]


def test_a_lane_that_had_the_whole_wire_makes_room_as_its_answers_come() -> None:
    runs = [run_in(lane()), run_in(lane())]
    window = Window(runs)
    window.prove(runs[0])
    send(window, runs)
    window.prove(runs[1])
    for _ in range(3):
        answer(window, runs[0], 50)
        send(window, runs)

    assert [run.on_wire for run in runs] == [100, 100]


def test_results_not_yet_written_count_against_the_window() -> None:
    run = run_in(lane())
    window = Window([run])
    window.prove(run)
    for pk in range(WINDOW - 30):
        run.finish(Result(pk, DeliveryOutcome.ACCEPTED))

    assert send(window, [run]) == [30]


def test_after_a_refused_access_token_few_requests_try_the_next() -> None:
    provider = lane()
    run = run_in(provider)
    window = Window([run])
    window.prove(run)
    window.doubt(provider)

    assert send(window, [run]) == [10]


def test_a_lane_under_suspicion_sends_no_more_than_it_takes_to_judge() -> None:
    guard = DropGuard()
    run = run_in(lane(), guard=guard)
    window = Window([run])
    window.prove(run)
    for n in range(100):
        guard.count(suspect=n % 2 == 0)

    assert send(window, [run]) == [ENOUGH_ANSWERS - 100]
