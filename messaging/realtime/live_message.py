"""An occurrence as live subscribers see it: the keys are those the vendor's own tests assert (contract.md 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec
from django.db.models import Q
from django.db.models.functions import Now

from devices import timestamps
from messaging.models import Message, Occurrence, OccurrenceState, PublishPolicy
from messaging.realtime.bus import Announcement

#: a longer list of device ids is left out: it would be sent to every subscriber
MAX_SINGLECAST_SHOWN = 1_000
_KEPT_S = 60.0
_MOST_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class LiveMessage:
    """One firing, encoded once for all subscribers."""

    application_pk: int
    channel_name: str
    headers: dict[str, str]
    encoded: bytes  #: JSON


def load(occurrence_pks: Sequence[int]) -> dict[int, LiveMessage]:
    """The firings with these ids, in one query; without those deleted meanwhile."""
    found = Occurrence.objects.select_related("message").filter(pk__in=occurrence_pks)
    return {occurrence.pk: _live(occurrence) for occurrence in found}


def announced_within(seconds: float) -> list[Announcement]:
    """What was announced in the last so many seconds, oldest first: for a process that did not listen then.

    At most a thousand, and a minute back: the hosted original keeps messages no longer.
    """
    at_once = Q(n=1, message__publish_at=None, message__cron="")
    claimed = Q(claimed_at__isnull=False) | Q(state=OccurrenceState.SKIPPED, skip_reason="overlap")
    recent = Occurrence.objects.filter(
        at_once | claimed, retry_no=0, due_at__gt=Now() - timedelta(seconds=min(seconds, _KEPT_S)), due_at__lte=Now()
    ).exclude(message__publish_policy=PublishPolicy.PUSH)
    rows = recent.order_by("due_at", "pk").values_list("pk", "message__application_id", "message__channel_name")
    return [Announcement(*row) for row in rows[:_MOST_KEPT]]


def _live(occurrence: Occurrence) -> LiveMessage:
    message = occurrence.message
    return LiveMessage(
        message.application_id, message.channel_name, message.headers, msgspec.json.encode(wire_object(occurrence))
    )


def wire_object(occurrence: Occurrence) -> dict[str, object]:
    """Null for what was not given, 0 for times and intervals; headers is never null, its values are strings.

    The vendor's own test asserts null as policy of a publish that names none, though it means BOTH.
    """
    message = occurrence.message
    is_default = message.publish_policy == PublishPolicy.BOTH and not message.is_policy_named
    return {
        "messageId": message.wire_id,
        "timestamp": timestamps.to_wire(occurrence.due_at),
        "message": message.body,
        "publisherId": message.publisher_id or None,
        "subtopic": message.subtopic or None,
        "pushSinglecast": _shown_singlecast(message),
        "pushBroadcast": message.push_broadcast,
        "publishPolicy": None if is_default else message.publish_policy,
        "templateValues": None if message.template is None else message.template["values"],
        "query": message.segment_query or None,
        "publishAt": 0 if message.publish_at is None else timestamps.to_wire(message.publish_at),
        "repeatEvery": 0 if message.repeat_every is None else int(message.repeat_every.total_seconds()),
        "repeatExpiresAt": 0 if message.repeat_expires_at is None else timestamps.to_wire(message.repeat_expires_at),
        "headers": message.headers,
    }


def _shown_singlecast(message: Message) -> list[str] | None:
    ids = message.push_singlecast
    return ids if ids is not None and len(ids) <= MAX_SINGLECAST_SHOWN else None
