"""An occurrence as live subscribers see it: the keys are those the vendor's own tests assert (contract.md 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from devices import timestamps
from messaging.models import Message, Occurrence, PublishPolicy

#: a longer list of device ids is left out: it would be sent to every subscriber
MAX_SINGLECAST_SHOWN = 1_000


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


def _live(occurrence: Occurrence) -> LiveMessage:
    message = occurrence.message
    return LiveMessage(
        message.application_id, message.channel_name, message.headers, msgspec.json.encode(wire_object(occurrence))
    )


def wire_object(occurrence: Occurrence) -> dict[str, object]:
    """Null for what was not given, 0 for times and intervals; headers is never null, its values are strings.

    BOTH is the policy of a publish that names none, which is asserted to read as null.
    """
    message = occurrence.message
    policy = PublishPolicy(message.publish_policy)
    return {
        "messageId": message.wire_id,
        "timestamp": timestamps.to_wire(occurrence.due_at),
        "message": message.body,
        "publisherId": message.publisher_id or None,
        "subtopic": message.subtopic or None,
        "pushSinglecast": _shown_singlecast(message),
        "pushBroadcast": message.push_broadcast,
        "publishPolicy": None if policy is PublishPolicy.BOTH else policy.value,
        "templateValues": None,
        "query": None,
        "publishAt": 0 if message.publish_at is None else timestamps.to_wire(message.publish_at),
        "repeatEvery": 0 if message.repeat_every is None else int(message.repeat_every.total_seconds()),
        "repeatExpiresAt": 0 if message.repeat_expires_at is None else timestamps.to_wire(message.repeat_expires_at),
        "headers": message.headers,
    }


def _shown_singlecast(message: Message) -> list[str] | None:
    ids = message.push_singlecast
    return ids if ids is not None and len(ids) <= MAX_SINGLECAST_SHOWN else None
