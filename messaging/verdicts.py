"""What to do after an answer: the outcome is final, or the device is tried again, or the lane is in trouble. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

from messaging.models import DeliveryOutcome
from messaging.providers.base import OutcomeKind, PushOutcome

#: requests a device gets at most in one occurrence (reliability.md 1.5)
MAX_TRIES = 8
#: where a push service names no wait (FCM: not before 10 s)
FIRST_RETRY_S = 10.0
LONGEST_RETRY_S = 3_600.0
#: the word WNS uses for a notification it threw away
_DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Result:
    """How it ended for one device; becomes one `Delivery` row."""

    registration_id: int
    outcome: DeliveryOutcome
    reason: str = ""
    http_status: int = 0
    provider_id: str = ""
    detail: str = ""


_FINAL: dict[OutcomeKind, DeliveryOutcome] = {
    OutcomeKind.ACCEPTED: DeliveryOutcome.ACCEPTED,
    OutcomeKind.GONE: DeliveryOutcome.GONE,
    OutcomeKind.SUSPECT: DeliveryOutcome.FAILED,
    OutcomeKind.FAIL_MESSAGE: DeliveryOutcome.FAILED,
    OutcomeKind.KEY_REFUSED: DeliveryOutcome.FAILED,
    OutcomeKind.FAIL_DEVICE: DeliveryOutcome.FAILED,
}


def final_result(registration_id: int, outcome: PushOutcome, tries: int, *, may_resend: bool) -> Result | None:
    """The device's result, or None when it is to be tried again. `tries` counts this request."""
    kind = _FINAL.get(outcome.kind)
    if outcome.kind is OutcomeKind.IN_DOUBT and not may_resend:
        kind = DeliveryOutcome.UNKNOWN
    if kind is None and tries >= MAX_TRIES:
        kind = DeliveryOutcome.EXHAUSTED
    if kind is None:
        return None
    if kind is DeliveryOutcome.FAILED and outcome.reason == _DROPPED:
        kind = DeliveryOutcome.DROPPED
    return Result(
        registration_id=registration_id,
        outcome=kind,
        reason=outcome.reason,
        http_status=outcome.http_status,
        provider_id=outcome.provider_id,
        detail=outcome.detail,
    )


def retry_delay_s(outcome: PushOutcome, tries: int) -> float:
    """Seconds until the next try: what the service asked, doubled with every try, and up to half as much again.

    Never earlier than asked; the spread keeps devices that failed together from coming back together.
    """
    wait = outcome.retry_after_s if outcome.retry_after_s is not None else FIRST_RETRY_S
    doubled = min(LONGEST_RETRY_S, wait * 2.0 ** (tries - 1))
    return max(wait, doubled) * random.uniform(1.0, 1.5)  # noqa: S311  # spread, not secrecy
