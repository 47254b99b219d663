"""Changing a message that has not begun: whole or not at all, whoever else changes or fires it."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from devices.models import Application
from messaging import database
from messaging.errors import CannotControl, PayloadOverLimit, PublishForbidden
from messaging.models import Message, Occurrence, OccurrenceState
from messaging.publishing import Publisher, PublishRequest, cancel, edit, publish
from messaging.ticker import claim_due
from tests.factories import make_application

PUBLISHER = Publisher(may_publish=True)


def request(**values: Any) -> PublishRequest:
    given = {"channel_name": "default", "body": "Hello", "headers": {"android-content-text": "Hello"}, **values}
    return PublishRequest(**given)


def scheduled(application: Application, seconds: float = 3600) -> Message:
    publish_at = database.now() + timedelta(seconds=seconds)
    return publish(application=application, request=request(publish_at=publish_at), publisher=PUBLISHER)


@pytest.fixture
def application(db: None) -> Application:
    return make_application()


def test_a_scheduled_message_is_changed_with_its_time(application: Application) -> None:
    message = scheduled(application)
    later = database.now() + timedelta(hours=5)

    edit(message, request(body="Changed", publish_at=later), publisher=PUBLISHER, seen_version=1)

    message.refresh_from_db()
    assert (message.body, message.content_version) == ("Changed", 2)
    assert list(Occurrence.objects.filter(message=message).values_list("n", "due_at")) == [(1, later)]


def test_a_change_made_from_an_older_version_is_refused(application: Application) -> None:
    message = scheduled(application)
    edit(message, request(body="First"), publisher=PUBLISHER, seen_version=1)

    with pytest.raises(CannotControl, match="Somebody else"):
        edit(message, request(body="Second"), publisher=PUBLISHER, seen_version=1)

    message.refresh_from_db()
    assert message.body == "First"


@pytest.mark.parametrize("state", [OccurrenceState.PLANNING, OccurrenceState.SENDING, OccurrenceState.DONE])
def test_a_message_that_has_begun_is_not_changed(application: Application, state: str) -> None:
    message = scheduled(application)
    message.occurrences.update(state=state)

    with pytest.raises(CannotControl, match="has begun"):
        edit(message, request(body="Changed"), publisher=PUBLISHER, seen_version=1)


def test_a_cancelled_message_is_not_changed(application: Application) -> None:
    message = scheduled(application)
    cancel(message)

    with pytest.raises(CannotControl):
        edit(message, request(body="Changed"), publisher=PUBLISHER, seen_version=1)


def test_a_change_is_checked_as_publishing_is(application: Application) -> None:
    message = scheduled(application)

    with pytest.raises(PayloadOverLimit):
        edit(message, request(body="x" * 5000), publisher=PUBLISHER, seen_version=1)
    with pytest.raises(PublishForbidden):
        edit(message, request(), publisher=Publisher(may_publish=False), seen_version=1)


def test_a_ticker_leaves_a_message_alone_while_it_is_changed(transactional_db: None) -> None:
    message = scheduled(make_application())
    message.occurrences.update(due_at=database.now() - timedelta(seconds=1))
    claimed: list[int] = []

    def tick() -> None:
        try:
            claimed.append(claim_due())
        finally:
            connection.close()

    with transaction.atomic():
        later = database.now() + timedelta(hours=5)
        edit(message, request(body="Changed", publish_at=later), publisher=PUBLISHER, seen_version=1)
        ticker = threading.Thread(target=tick)
        ticker.start()
        ticker.join()

    assert claimed == [0]
    assert claim_due() == 0
    assert message.occurrences.get().due_at == later
