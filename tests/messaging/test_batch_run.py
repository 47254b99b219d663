"""What one batch in hand has to say, and when: results, retries together at the end, dead tokens under the guard."""

from __future__ import annotations

from datetime import date
from typing import cast

import pytest

from devices.push_services import PushService
from messaging.batch_run import BatchRun
from messaging.batches import ClaimedBatch
from messaging.guard import DropGuard
from messaging.models import DeliveryOutcome
from messaging.providers.base import OutcomeKind, Prepared, Provider, PushOutcome, Target
from messaging.senders import Sender

ACCEPTED = PushOutcome(kind=OutcomeKind.ACCEPTED)
REFUSED = PushOutcome(kind=OutcomeKind.FAIL_MESSAGE, reason="TooBig", http_status=413)
LATER = PushOutcome(kind=OutcomeKind.RETRY, reason="INTERNAL", http_status=500, retry_after_s=10.0)
SUSPECT = PushOutcome(kind=OutcomeKind.SUSPECT, reason="BadDeviceToken", http_status=400)
NO_SENDER = Sender(cast(Provider, None), cast(Prepared, None))  # nothing here sends


def a_run(devices: int = 10, *, life_s: float | None = None, guard: DropGuard | None = None) -> BatchRun:
    targets = [Target(pk, f"token-{pk}") for pk in range(devices)]
    batch = ClaimedBatch(
        pk=1,
        occurrence_id=1,
        application_pk=1,
        push_service=PushService.FCM,
        registration_ids=[target.registration_id for target in targets],
        attempt=1,
        tries=0,
        fired_on=date(2026, 11, 22),
        turn=0,
        is_cancelled=False,
        life_s=life_s,
        may_resend=True,
        begun=0,
    )
    return BatchRun(batch, NO_SENDER, targets, guard or DropGuard())


def settle(run: BatchRun, outcome: PushOutcome, times: int = 1) -> None:
    for _ in range(times):
        run.settle(run.unsent.popleft(), outcome)


def test_three_equal_refusals_of_the_payload_end_the_batch_without_further_requests() -> None:
    run = a_run()
    settle(run, REFUSED, 3)

    results = run.take_progress().results
    assert not run.unsent
    assert [(result.outcome, result.reason) for result in results] == [(DeliveryOutcome.FAILED, "TooBig")] * 10


def test_a_payload_that_was_accepted_once_is_not_at_fault() -> None:
    run = a_run()
    settle(run, ACCEPTED)
    settle(run, REFUSED, 5)

    assert len(run.unsent) == 4


def test_retries_are_written_together_when_nothing_else_is_left() -> None:
    run = a_run(3)
    settle(run, LATER)
    settle(run, ACCEPTED)
    early = run.take_progress()
    settle(run, LATER)
    late = run.take_progress()

    assert (len(early.results), early.postponed, early.is_finished) == (1, [], False)
    assert ([device.registration_id for device in late.postponed], late.is_finished) == ([0, 2], True)


def test_a_run_that_is_stopped_gives_its_retries_away_and_is_not_finished() -> None:
    run = a_run(3)
    settle(run, LATER)
    run.is_stopped = True

    progress = run.take_progress()

    assert ([device.registration_id for device in progress.postponed], progress.is_finished) == ([0], False)
    assert run.is_idle


def test_what_could_not_be_written_is_said_again_with_what_came_since() -> None:
    run = a_run(3)
    settle(run, LATER)
    settle(run, ACCEPTED)
    run.put_back(run.take_progress())
    settle(run, ACCEPTED)

    progress = run.take_progress()

    assert [result.registration_id for result in progress.results] == [1, 2]
    assert [device.registration_id for device in progress.postponed] == [0]


def test_a_device_whose_next_try_lies_beyond_the_life_of_the_message_expires_with_the_reason() -> None:
    run = a_run(1, life_s=5.0)
    settle(run, LATER)

    (result,) = run.take_progress().results
    assert (result.outcome, result.reason, result.http_status) == (DeliveryOutcome.EXPIRED, "INTERNAL", 500)


@pytest.mark.parametrize(("answers", "is_dropped"), [(0, False), (100, True)])
def test_a_doubtful_token_is_dropped_only_in_a_lane_known_to_work(answers: int, is_dropped: bool) -> None:
    run = a_run(1, guard=DropGuard(answers=answers))
    settle(run, SUSPECT)

    progress = run.take_progress()
    assert [entry.registration_id for entry in progress.gone] == ([0] if is_dropped else [])
    assert progress.results[0].outcome is DeliveryOutcome.FAILED
