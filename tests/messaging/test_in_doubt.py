"""A request left and no answer came: sent again, or left alone, as whoever published it chose (reliability.md P5)."""

from __future__ import annotations

import time

import pytest

from messaging import batches, fanout
from messaging.drain import Drain
from messaging.ledger import deliveries_of
from messaging.models import Batch, DeliveryOutcome, InDoubtPolicy
from tests.messaging.drain_nursery import DrainNursery
from tests.messaging.stage import (
    Stage,
    check_books,
    finish,
    fresh,
    let_lease_lapse,
    tokens,
    wait_until,
)

SKIP = InDoubtPolicy.SKIP


def outcome_counts(occurrence: object) -> dict[str, int]:
    outcomes = list(deliveries_of(fresh(occurrence)).values_list("outcome", flat=True))  # type: ignore[arg-type]
    return {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}


@pytest.mark.parametrize("ending", ["resetx1", "cutx1"])
@pytest.mark.parametrize("os_name", ["ANDROID", "IOS", "WEB", "WP"])
def test_a_request_whose_connection_was_reset_is_sent_again(stage: Stage, os_name: str, ending: str) -> None:
    (lost,) = stage.devices(1, os_name, ending)

    occurrence = stage.start(os_name)
    ledger = finish(occurrence)

    assert (ledger.accepted, ledger.pending) == (1, 0)
    assert stage.requests_by_token() == dict.fromkeys(tokens([lost]), 2)


@pytest.mark.parametrize("os_name", ["ANDROID", "IOS", "WEB", "WP"])
def test_a_message_that_must_not_be_doubled_leaves_it_alone_and_says_so(stage: Stage, os_name: str) -> None:
    lost, well = stage.devices(1, os_name, "resetx1"), stage.devices(5, os_name)

    occurrence = stage.start(os_name, in_doubt=SKIP)
    finish(occurrence)

    assert stage.requests_by_token() == dict.fromkeys(tokens([*lost, *well]), 1)
    assert outcome_counts(occurrence) == {DeliveryOutcome.ACCEPTED: 5, DeliveryOutcome.UNKNOWN: 1}


def test_an_answer_that_says_no_is_no_doubt(stage: Stage) -> None:
    (ill,) = stage.devices(1, "ANDROID", "500x1")

    ledger = finish(stage.start("ANDROID", in_doubt=SKIP))

    assert ledger.accepted == 1
    assert stage.requests_by_token() == dict.fromkeys(tokens([ill]), 2)


def test_a_killed_worker_doubles_nobody_of_a_message_that_must_not_be_doubled(
    stage: Stage, nursery: DrainNursery
) -> None:
    devices = stage.devices(900)
    stage.simulators.set_mode("fcm", latency_ms=200)
    occurrence = stage.start("ANDROID", in_doubt=SKIP)
    drain = nursery.start()
    wait_until(lambda: len(stage.requests()) > 300, 20, "300 requests")
    nursery.kill(drain)

    let_lease_lapse(occurrence)
    ledger = finish(occurrence)

    assert ledger.pending == 0
    assert set(stage.requests_by_token().values()) == {1}
    counts = outcome_counts(occurrence)
    # on the wire or unwritten, and the hundred that are announced ahead
    assert 0 < counts[DeliveryOutcome.UNKNOWN] <= 400
    assert counts[DeliveryOutcome.ACCEPTED] + counts[DeliveryOutcome.UNKNOWN] == len(devices)


def test_two_killed_workers_double_what_they_had_on_the_wire_and_everybody_is_reached(
    stage: Stage, nursery: DrainNursery
) -> None:
    devices = stage.devices(700)
    stage.simulators.set_mode("fcm", latency_ms=200)
    occurrence = stage.start("ANDROID")
    for _ in range(2):
        drain, before = nursery.start(), len(stage.requests())
        wait_until(lambda: len(stage.requests()) > before + 150, 20, "150 requests")  # noqa: B023
        nursery.kill(drain)
        check_books(occurrence)
        let_lease_lapse(occurrence)

    assert finish(occurrence).accepted == len(devices)
    assert stage.reached() == tokens(devices)
    assert max(stage.requests_by_token().values()) <= 3
    assert sum(stage.requests_by_token().values()) - len(devices) <= 2 * 300


def test_a_batch_given_back_in_order_leaves_no_doubt_behind(stage: Stage) -> None:
    devices = stage.devices(5)
    occurrence = stage.start("ANDROID", in_doubt=SKIP)
    first = Drain()
    first._look_for_work()
    first._fill()
    assert Batch.objects.get().begun > 0
    first._stop_at = time.monotonic()  # told to stop: it waits for its answers
    first.run()

    ledger = finish(occurrence)

    assert ledger.accepted == len(devices)
    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)


def test_a_batch_taken_over_before_its_first_request_sends_none_of_a_message_that_must_not_be_doubled(
    stage: Stage,
) -> None:
    stage.devices(3)
    occurrence = stage.start("ANDROID", in_doubt=SKIP)
    fanout.plan_next_page()
    drain = Drain()
    lost = batches.claim("whoever stood still")
    assert lost is not None
    drain._open(lost)
    Batch.objects.update(attempt=lost.attempt + 1, owner="another")

    drain._fill()
    drain.run()

    assert stage.requests() == []
    assert check_books(occurrence).pending == 3
