"""What an answer means for its device: final, or again later, never earlier than asked and at most eight times."""

from __future__ import annotations

import pytest

from messaging.models import DeliveryOutcome
from messaging.providers.base import OutcomeKind, PushOutcome
from messaging.verdicts import LONGEST_RETRY_S, MAX_TRIES, final_result, retry_delay_s


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (OutcomeKind.ACCEPTED, DeliveryOutcome.ACCEPTED),
        (OutcomeKind.GONE, DeliveryOutcome.GONE),
        (OutcomeKind.SUSPECT, DeliveryOutcome.FAILED),
        (OutcomeKind.FAIL_MESSAGE, DeliveryOutcome.FAILED),
        (OutcomeKind.FAIL_DEVICE, DeliveryOutcome.FAILED),
    ],
)
def test_these_answers_are_final(kind: OutcomeKind, outcome: DeliveryOutcome) -> None:
    result = final_result(1, PushOutcome(kind=kind, reason="why", http_status=400), 1, may_resend=True)

    assert result is not None
    assert (result.outcome, result.reason, result.http_status) == (outcome, "why", 400)


@pytest.mark.parametrize("kind", [OutcomeKind.RETRY, OutcomeKind.IN_DOUBT])
def test_others_are_tried_eight_times(kind: OutcomeKind) -> None:
    outcome = PushOutcome(kind=kind)

    assert all(final_result(1, outcome, tries, may_resend=True) is None for tries in range(1, MAX_TRIES))
    last = final_result(1, outcome, MAX_TRIES, may_resend=True)
    assert last is not None and last.outcome is DeliveryOutcome.EXHAUSTED


def test_in_doubt_ends_as_unknown_where_nothing_may_be_sent_twice() -> None:
    result = final_result(1, PushOutcome(kind=OutcomeKind.IN_DOUBT), 1, may_resend=False)

    assert result is not None and result.outcome is DeliveryOutcome.UNKNOWN


def test_what_wns_dropped_is_not_called_delivered() -> None:
    result = final_result(1, PushOutcome(kind=OutcomeKind.FAIL_DEVICE, reason="dropped"), 1, may_resend=True)

    assert result is not None and result.outcome is DeliveryOutcome.DROPPED


@pytest.mark.parametrize("asked", [0.0, 1.0, 20.0, 900.0, 3_600.0])
@pytest.mark.parametrize("tries", [1, 2, 7])
def test_a_retry_is_never_earlier_than_asked_and_spread_by_half(asked: float, tries: int) -> None:
    outcome = PushOutcome(kind=OutcomeKind.RETRY, retry_after_s=asked)
    delays = [retry_delay_s(outcome, tries) for _ in range(200)]

    assert min(delays) >= asked
    assert max(delays) <= max(asked, min(LONGEST_RETRY_S, asked * 2 ** (tries - 1))) * 1.5
    assert len(set(delays)) > 100 or asked == 0
