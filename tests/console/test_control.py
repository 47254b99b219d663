"""Pause, resume, stop and retry from the page of a message."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.test import Client

from console.models import AuditEntry
from devices.models import Application
from devices.push_services import PushService
from messaging import database, heartbeat
from messaging.models import Batch, BatchState, Lane, LaneState, Message, MessageStatus, Occurrence, OccurrenceState
from tests.console.rows import address, make_delivery, make_done, make_message, make_occurrence, make_sending
from tests.factories import make_registration


def page_of(message: Message, action: str = "") -> str:
    return address(message.application, f"messages/{message.message_id}/{action}")


@pytest.fixture
def workers(db: None) -> None:
    """Somebody sends: otherwise that is what holds everything up."""
    heartbeat.announce("a", kind="workers", workers=2)
    heartbeat.announce("b", kind="ticker")


def test_pausing_and_resuming_is_shown_with_since_when_and_audited(page: Client, application: Application) -> None:
    message = make_message(application)
    occurrence = make_sending(message)

    paused = page.post(page_of(message, "pause/"), follow=True)
    occurrence.refresh_from_db()
    assert occurrence.paused_at is not None
    assert "Paused" in paused.content.decode()
    assert f'since <time datetime="{occurrence.paused_at:%Y-%m-%dT%H:%M:%SZ}"' in paused.content.decode()
    assert f">{occurrence.paused_at:%Y-%m-%d %H:%M:%S} UTC</time>" in paused.content.decode()

    page.post(page_of(message, "resume/"))
    occurrence.refresh_from_db()
    assert occurrence.paused_at is None
    actions = AuditEntry.objects.filter(subject=message.wire_id).order_by("id").values_list("action", flat=True)
    assert list(actions) == ["message.pause", "message.resume"]


@pytest.mark.parametrize("action", ["pause/", "resume/", "stop/", "retry/"])
def test_what_cannot_be_done_is_said_on_the_page(page: Client, application: Application, action: str) -> None:
    message = make_message(application, status=MessageStatus.PUBLISHED)
    make_done(message)

    answer = page.post(page_of(message, action), follow=True)

    assert answer.status_code == 200
    assert b"notice-mixed" in answer.content
    assert not AuditEntry.objects.filter(subject=message.wire_id).exists()


def test_stopping_one_firing_leaves_the_series(page: Client, application: Application) -> None:
    message = make_message(application, repeat_every=timedelta(hours=1))
    occurrence = make_sending(message)
    make_occurrence(message, n=2)

    assert b"The series goes on" in page.get(page_of(message, "confirm-stop/")).content
    page.post(page_of(message, "stop/"), {"n": 1, "retry": 0})

    occurrence.refresh_from_db()
    message.refresh_from_db()
    assert (occurrence.state, message.status) == (OccurrenceState.CANCELLED, MessageStatus.SCHEDULED)


def test_one_firing_that_is_still_to_come_can_be_left_out(page: Client, application: Application) -> None:
    message = make_message(application, repeat_every=timedelta(hours=1))
    coming = make_occurrence(message, due_at=database.now() + timedelta(hours=1))

    assert b"Leave out this firing" in page.get(page_of(message)).content
    asked = page.get(page_of(message, "confirm-stop/"))
    assert b"No device gets it" in asked.content
    assert b"The series goes on" in asked.content
    page.post(page_of(message, "stop/"), {"n": 1, "retry": 0})

    coming.refresh_from_db()
    message.refresh_from_db()
    following = message.occurrences.get(n=2)
    assert (coming.state, following.state) == (OccurrenceState.CANCELLED, OccurrenceState.SCHEDULED)
    assert (following.due_at, message.status) == (coming.due_at + timedelta(hours=1), MessageStatus.SCHEDULED)
    left_out = page.get(page_of(message) + "?n=1&retry=0").content
    assert b">Left out</span>" in left_out
    assert b"Somebody left it out before its time." in left_out
    assert b"Audience resolved" not in left_out


def test_failed_devices_are_retried_as_a_firing_of_their_own(page: Client, application: Application) -> None:
    message = make_message(application, status=MessageStatus.PUBLISHED)
    occurrence = make_done(message)
    make_delivery(occurrence, make_registration(application), "exhausted", "UNAVAILABLE")
    make_delivery(occurrence, make_registration(application), "failed", "INTERNAL")
    make_delivery(occurrence, make_registration(application), "gone", "UNREGISTERED")  # dead: no second try helps

    assert b"Retry 2 not reached" in page.get(page_of(message)).content
    html = page.post(page_of(message, "retry/"), {"n": 1, "retry": 0}, follow=True).content.decode()
    assert b"Retry those still not reached" in page.get(page_of(message) + "?n=1&retry=0").content

    again = Occurrence.objects.get(message=message, retry_no=1)
    assert again.batches.get().targeted == 2
    assert "No. 1, retry 1" in html
    assert AuditEntry.objects.filter(action="message.retry", subject=message.wire_id).exists()


def test_one_failure_group_is_retried_alone(page: Client, application: Application) -> None:
    message = make_message(application, status=MessageStatus.PUBLISHED)
    occurrence = make_done(message)
    wanted = make_registration(application)
    make_delivery(occurrence, wanted, "exhausted", "UNAVAILABLE")
    make_delivery(occurrence, make_registration(application), "gone", "UNREGISTERED")

    group = {"service": "fcm", "outcome": "exhausted", "reason": "UNAVAILABLE"}
    page.post(page_of(message, "retry/"), {"n": 1, "retry": 0, **group})

    assert Batch.objects.get(occurrence__retry_no=1).registration_ids == [wanted.pk]


def test_each_firing_shows_its_own_ledger(page: Client, application: Application) -> None:
    message = make_message(application, repeat_every=timedelta(hours=1))
    first = make_done(message, accepted=7, failed=0)
    Occurrence.objects.filter(pk=first.pk).update(n=1)
    make_occurrence(message, n=2)

    html = page.get(page_of(message)).content.decode()
    assert 'data-ledger="targeted">7<' in html  # what has begun, not what comes next
    assert 'data-label="Targeted">7<' in html
    assert "No. 2" in html


def test_a_wait_that_is_over_is_not_shown(page: Client, application: Application, workers: None) -> None:
    message = make_message(application)
    make_sending(message)
    lane = Lane.objects.create(
        application=application,
        push_service=PushService.FCM,
        state=LaneState.THROTTLED,
        throttled_until=database.now() + timedelta(minutes=1),
    )
    assert b"asked to wait until" in page.get(page_of(message)).content

    Lane.objects.filter(pk=lane.pk).update(throttled_until=F("throttled_until") - timedelta(minutes=2))

    assert b"asked to wait until" not in page.get(page_of(message)).content


def test_only_retries_left_says_how_many_wait_until_when(page: Client, application: Application, workers: None) -> None:
    message = make_message(application)
    due_at = database.now() + timedelta(seconds=30)
    make_sending(message, targeted=10, accepted=7, failed=1)
    Batch.objects.update(state=BatchState.WAITING, tries=1, due_at=due_at)

    html = page.get(page_of(message)).content.decode()

    assert f"2 devices wait for another try, next at {due_at:%H:%M:%S} UTC" in html


def test_the_rate_is_that_of_the_last_polls(page: Client, application: Application) -> None:
    message = make_message(application)
    make_sending(message, targeted=100_000, accepted=50_000, failed=0)
    now = database.now().timestamp()
    seen = f"{now - 3600:.2f}-0_{now - 5:.2f}-49000_{now - 1:.2f}-49800"

    html = page.get(page_of(message, "progress/"), {"seen": seen, "was": "Sending"}).content.decode()

    assert "200 devices a second" in html
    assert 'id="controls"' not in html


def test_the_buttons_come_anew_when_the_state_has_changed(page: Client, application: Application) -> None:
    message = make_message(application)
    make_sending(message)

    html = page.get(page_of(message, "progress/"), {"was": "Resolving audience"}).content.decode()

    assert 'id="controls" hx-swap-oob="true"' in html


@pytest.mark.parametrize("is_paused", [False, True])
def test_the_end_is_foretold_only_while_nothing_holds_devices_up(
    page: Client, application: Application, workers: None, is_paused: bool
) -> None:
    message = make_message(application)
    now = database.now()
    make_sending(message, targeted=1_000, accepted=500, failed=0)
    Occurrence.objects.update(paused_at=now if is_paused else None)
    seen = f"{now.timestamp() - 5:.2f}-0"

    html = page.get(page_of(message, "progress/"), {"seen": seen, "was": "Sending"}).content.decode()

    assert ("s left" in html) is not is_paused
