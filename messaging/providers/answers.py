"""Read provider answers without trusting them: guarded JSON, printable cuts, Retry-After, verdict tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from messaging.providers.base import HttpAnswer, OutcomeKind, PushOutcome, TransportFailure

REASON_LIMIT = 64
DETAIL_LIMIT = 256
RETRY_AFTER_MIN_S = 1.0
RETRY_AFTER_MAX_S = 3600.0
#: A first retry after a connection problem (FCM: "first retry at least 10 s later").
CONNECTION_RETRY_S = 10.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row of a provider's table: what an answer means for the device, the message and the lane."""

    kind: OutcomeKind
    retry_after_s: float | None = None  #: used when the service names no time
    whole_lane: bool = False
    at_least_s: float = 0.0  #: the service's Retry-After is never taken shorter than this
    is_suspicious: bool = False  #: a fault of ours looks the same: counts for the mass-drop guard


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found in an answer beside its status."""

    reason: str = ""
    provider_id: str = ""
    detail: str = ""
    gone_since: datetime | None = None


ACCEPTED = Verdict(OutcomeKind.ACCEPTED)
_NOT_SENT = Verdict(OutcomeKind.RETRY, CONNECTION_RETRY_S, whole_lane=True)
_IN_DOUBT = Verdict(OutcomeKind.IN_DOUBT, CONNECTION_RETRY_S)
_PAUSE = Verdict(OutcomeKind.PAUSE)
_FAIL_DEVICE = Verdict(OutcomeKind.FAIL_DEVICE)

#: For a service whose one host we chose ourselves: a forbidden address means a wrong setting or hijacked DNS.
FIXED_HOST_FAILURES = {
    TransportFailure.NOT_SENT: _NOT_SENT,
    TransportFailure.IN_DOUBT: _IN_DOUBT,
    TransportFailure.TLS: _PAUSE,
    TransportFailure.FORBIDDEN_ADDRESS: _PAUSE,
}
#: For hosts that devices name: a forbidden address is that device's own affair.
DEVICE_HOST_FAILURES = {**FIXED_HOST_FAILURES, TransportFailure.FORBIDDEN_ADDRESS: _FAIL_DEVICE}


def judge(answer: HttpAnswer, verdict: Verdict, finding: Finding) -> PushOutcome:
    """The outcome of an HTTP answer under this verdict; an answer without a word of its own is named by its status."""
    is_accepted = verdict.kind is OutcomeKind.ACCEPTED
    return PushOutcome(
        kind=verdict.kind,
        reason=printable(finding.reason, REASON_LIMIT) or ("" if is_accepted else f"HTTP {answer.status}"),
        http_status=answer.status,
        provider_id=printable(finding.provider_id, DETAIL_LIMIT),
        detail=printable(finding.detail, DETAIL_LIMIT),
        retry_after_s=_retry_after(answer, verdict),
        whole_lane=verdict.whole_lane,
        gone_since=finding.gone_since,
        is_suspicious=verdict.is_suspicious,
    )


def judge_failure(answer: HttpAnswer, verdicts: Mapping[TransportFailure, Verdict]) -> PushOutcome:
    """The outcome of a request without an answer."""
    assert answer.failure is not None
    return judge(answer, verdicts[answer.failure], Finding(reason=answer.failure.value, detail=answer.detail))


def json_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object; {} for HTML, truncated JSON and whatever else comes."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def text_of(parsed: Mapping[str, Any], name: str) -> str:
    """A member that should be text; "" when it is not."""
    member = parsed.get(name)
    return member if isinstance(member, str) else ""


def printable(text: str, limit: int) -> str:
    """At most `limit` characters, none of which can change how a page or a log reads (control, bidi, surrogates)."""
    if not text:  # most are: three are asked about for every accepted push
        return ""
    text = text[:limit]
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return text.strip()


def body_excerpt(answer: HttpAnswer) -> str:
    """The beginning of a body that could not be understood, for ops."""
    return printable(answer.body[: 4 * DETAIL_LIMIT].decode("utf-8", "replace"), DETAIL_LIMIT)


def parse_retry_after(header: str, now: datetime) -> float | None:
    """Seconds to wait (RFC 9110 10.2.3: a number or an HTTP-date), within 1..3600; None if unreadable."""
    header = header.strip()
    if header.isascii() and header.isdigit():
        seconds = float(header[:9])
    else:
        try:
            seconds = (parsedate_to_datetime(header).replace(tzinfo=UTC) - now).total_seconds()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S)


def _retry_after(answer: HttpAnswer, verdict: Verdict) -> float | None:
    if verdict.kind is not OutcomeKind.RETRY or "retry-after" not in answer.headers:
        return verdict.retry_after_s
    named = parse_retry_after(answer.headers["retry-after"], datetime.now(UTC))
    return verdict.retry_after_s if named is None else max(named, verdict.at_least_s)
