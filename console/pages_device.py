"""One device: what is known of it, what it was sent lately, and why not the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import BooleanField, Q
from django.db.models.expressions import ExpressionWrapper, RawSQL

from console.pages_pending import pending_devices
from console.reasons import Explanation, explain
from devices.models import Application, DeviceRegistration, RegistrationState
from devices.push_services import Os, PushService
from messaging.ledger import fired_on
from messaging.models import Delivery, DeliveryOutcome, Message, Occurrence, PublishPolicy
from messaging.publishing import request_of
from messaging.rendering import body_text

#: messages looked through for one page; their outcomes are found by key, so a million devices cost nothing
MESSAGES_LOOKED_AT = 100
#: with their repeats and retries
_FIRINGS_LOOKED_AT = 300
#: device ids are read where there are few: reading 100,000 in each of a hundred messages took a second
_IS_NAMED = "pg_column_size(push_singlecast) < 8000 AND %s = ANY(push_singlecast)"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One firing of a message, and what became of it on the device."""

    message: Message
    occurrence: Occurrence
    text: str
    delivery: Delivery | None = None  #: None: it was not among those it was sent to
    explanation: Explanation | None = None  #: why it ended otherwise than accepted
    why_not: str = ""  #: why the device was not among them

    @property
    def at(self) -> datetime:
        """When it ended for the device, else when the firing began."""
        ended = self.delivery.finished_at if self.delivery is not None else None
        return ended or self.occurrence.claimed_at or self.occurrence.due_at


@dataclass(frozen=True, slots=True)
class DeviceHistory:
    """One page of it, newest first."""

    rows: list[HistoryRow]
    next_before: int | None  #: key of the next page, None at the end


def device_history(application: Application, device: DeviceRegistration, before: int | None) -> DeviceHistory:
    """Firings that have begun, of the newest messages `before` that key.

    Four queries, one more for each of them that is under way.
    """
    messages = _messages(application, device, before)
    shown = {message.pk: message for message in messages[:MESSAGES_LOOKED_AT]}
    begun = Occurrence.objects.filter(message__in=list(shown), claimed_at__isnull=False)
    occurrences = list(begun.order_by("-claimed_at", "-pk")[:_FIRINGS_LOOKED_AT])
    outcomes = _outcomes(device, occurrences)
    channels = set(device.channels.values_list("name", flat=True))
    rows = []
    for occurrence in occurrences:
        delivery = outcomes.get(occurrence.pk) or _pending(occurrence, device)
        message = shown[occurrence.message_id]
        if delivery is not None:
            rows.append(_row(message, occurrence, delivery))
        elif _is_worth_a_line(message, occurrence):
            why_not = _why_not(message, occurrence, device, channels)
            rows.append(_row(message, occurrence, None, why_not))
    return DeviceHistory(rows, messages[MESSAGES_LOOKED_AT - 1].pk if len(messages) > MESSAGES_LOOKED_AT else None)


def _messages(application: Application, device: DeviceRegistration, before: int | None) -> list[Message]:
    query = application.messages.exclude(publish_policy=PublishPolicy.PUBSUB)
    if before is not None:
        query = query.filter(pk__lt=before)
    found = query.defer("push_singlecast").annotate(
        is_list=ExpressionWrapper(Q(push_singlecast__isnull=False), output_field=BooleanField()),
        is_named=RawSQL(_IS_NAMED, [device.device_id], output_field=BooleanField()),  # noqa: S611  # the id is a parameter
    )
    messages: list[Message] = list(found.order_by("-pk")[: MESSAGES_LOOKED_AT + 1])
    for message in messages:
        message.push_singlecast = [device.device_id] if message.is_list else None  # type: ignore[attr-defined]  # of the others nobody asks here
    return messages


def _is_worth_a_line(message: Message, occurrence: Occurrence) -> bool:
    """Neither a retry, which is for those that failed, nor a message to other devices by name."""
    return not occurrence.retry_no and (not message.is_list or bool(message.is_named))  # type: ignore[attr-defined]


def _outcomes(device: DeviceRegistration, occurrences: list[Occurrence]) -> dict[int, Delivery]:
    """By the primary key of the deliveries: day, occurrence, registration."""
    found = Delivery.objects.filter(
        fired_on__in={fired_on(occurrence) for occurrence in occurrences},
        occurrence_id__in=[occurrence.pk for occurrence in occurrences],
        registration_id=device.pk,
    )
    return {delivery.occurrence_id: delivery for delivery in found}


def _pending(occurrence: Occurrence, device: DeviceRegistration) -> Delivery | None:
    if occurrence.closed_at is not None:
        return None
    found = pending_devices(occurrence, found=[device.pk], push_service="", place=(0, 0), limit=1)
    return found[0][1] if found else None


def _row(message: Message, occurrence: Occurrence, delivery: Delivery | None, why_not: str = "") -> HistoryRow:
    explanation = None
    if delivery is not None and delivery.outcome not in ("", DeliveryOutcome.ACCEPTED):
        service, outcome = PushService(delivery.push_service), DeliveryOutcome(delivery.outcome)
        explanation = explain(service, outcome, delivery.reason, delivery.http_status)
    return HistoryRow(
        message=message,
        occurrence=occurrence,
        text=body_text(message.body),
        delivery=delivery,
        explanation=explanation,
        why_not=why_not,
    )


def _why_not(message: Message, occurrence: Occurrence, device: DeviceRegistration, channels: set[str]) -> str:
    """The first reason that holds. Channels and data are those of now; nobody keeps what they were."""
    began = occurrence.claimed_at or occurrence.due_at
    request = request_of(message)
    oses = request.target_oses()
    if occurrence.audience_bound is not None and device.pk > occurrence.audience_bound:
        return "The device registered later."
    if device.state == RegistrationState.GONE and device.gone_at is not None and device.gone_at <= began:
        return f"The registration was inactive since {device.gone_at:%Y-%m-%d %H:%M} UTC: {device.gone_reason}."
    if device.expiration is not None and device.expiration <= began:
        return "The registration had expired."
    if oses is not None and Os(device.os) not in oses:
        return f"It was not meant for {Os(device.os).label}."
    if request.push_singlecast is None and message.channel_name not in channels:
        return f"The device does not listen to the channel {message.channel_name}."
    if occurrence.planned_at is None and occurrence.closed_at is None:
        return "Its audience is still being resolved."
    if request.segment_query:
        return "The device was not in its segment."
    return "The device was not active, or not in the channel, when it was sent."
