"""Messages as the workers leave them: what pages read, without sending anything."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import connection

from devices.models import Application, DeviceRegistration
from devices.push_services import PushService
from messaging import database
from messaging.ledger import fired_on
from messaging.models import Batch, Message, Occurrence, OccurrenceState
from messaging.partitions import ensure_partition

PASSWORD = "correct-horse-battery"  # noqa: S105


def address(application: Application, page: str = "") -> str:
    """The path of a page of the application."""
    return f"/apps/{application.application_id}/{page}"


def make_message(application: Application, body: object = "Coffee is ready", **values: Any) -> Message:
    """A message nobody has begun to send."""
    values.setdefault("push_broadcast", 3)
    return Message.objects.create(application=application, channel_name="default", body=body, **values)


def make_occurrence(message: Message, **values: Any) -> Occurrence:
    """A firing that waits for its time, one minute from now, unless `values` say otherwise."""
    values.setdefault("due_at", database.now() + timedelta(minutes=1))
    return Occurrence.objects.create(message=message, **values)


def make_sending(message: Message, *, targeted: int = 10, accepted: int = 4, failed: int = 1) -> Occurrence:
    """A firing in full swing."""
    now = database.now()
    occurrence = make_occurrence(
        message,
        due_at=now - timedelta(seconds=3),
        state=OccurrenceState.SENDING,
        claimed_at=now - timedelta(seconds=3),
        first_request_at=now - timedelta(seconds=2),
    )
    Batch.objects.create(
        occurrence=occurrence,
        push_service=PushService.FCM,
        registration_ids=[],
        targeted=targeted,
        accepted=accepted,
        failed=failed,
    )
    return occurrence


def make_done(message: Message, *, accepted: int = 9, failed: int = 1) -> Occurrence:
    """A firing with nothing pending."""
    occurrence = make_sending(message, targeted=accepted + failed, accepted=accepted, failed=failed)
    occurrence.state, occurrence.closed_at = OccurrenceState.DONE, database.now()
    occurrence.targeted, occurrence.accepted, occurrence.failed = accepted + failed, accepted, failed
    occurrence.last_outcome_at = occurrence.closed_at
    occurrence.save()
    return occurrence


def make_delivery(
    occurrence: Occurrence, registration: DeviceRegistration, outcome: str = "accepted", reason: str = ""
) -> None:
    """What became of one device."""
    day = fired_on(occurrence)
    ensure_partition(day)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messaging_delivery (fired_on, occurrence_id, registration_id, push_service, outcome, reason,"
            " http_status, provider_id, detail, tries, finished_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, 200, 'provider-id', '', 1, now())",
            [day, occurrence.pk, registration.pk, registration.push_service, outcome, reason],
        )


def compose_values(**changes: Any) -> dict[str, Any]:
    """A filled-in compose form."""
    return {
        "form_token": "0123456789abcdef0123456789abcdef",
        "channel": "default",
        "audience": "oses",
        "oses": ["ANDROID", "IOS"],
        "body": "Coffee is ready",
        "android_title": "Corner Coffee",
        "publish_policy": "BOTH",
        "when": "now",
        **changes,
    }
