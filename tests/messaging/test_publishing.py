"""Accepting messages: what is stored and announced, what is refused, whom a message means, how it is cancelled."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from devices import audience
from devices.models import Application, Channel
from devices.push_services import Os, OsMask
from messaging import database, queue
from messaging.errors import (
    CannotCancel,
    InvalidPublishAt,
    InvalidPushHeader,
    InvalidRepeatExpiresAt,
    PayloadOverLimit,
    PublishForbidden,
)
from messaging.models import Message, MessageStatus, Occurrence, OccurrenceState, PublishPolicy
from messaging.publishing import Publisher, PublishRequest, audience_of, cancel, publish
from tests.factories import make_application, make_registration

ANDROID = {"android-content-text": "Hello"}
PUBLISHER = Publisher(may_publish=True)


def request(**values: Any) -> PublishRequest:
    return PublishRequest(**{"channel_name": "default", "body": "Hello", **values})


def accept(application: Application, **values: Any) -> Message:
    return publish(application=application, request=request(**values), publisher=PUBLISHER)


@pytest.fixture
def application(db: None) -> Application:
    return make_application()


def test_a_message_and_its_first_occurrence_are_stored(application: Application) -> None:
    before = database.now()

    message = accept(application, headers=ANDROID, publisher_id="me")

    occurrence = Occurrence.objects.get(message=message)
    assert (message.status, message.publisher_id, message.channel_name) == ("SCHEDULED", "me", "default")
    assert (occurrence.n, occurrence.state) == (1, OccurrenceState.SCHEDULED)
    assert occurrence.due_at >= before


def test_the_ticker_hears_of_a_message_only_once_it_is_committed(transactional_db: None) -> None:
    application = make_application()
    with database.listening_connection(queue.TICKER_CHANNEL) as listener:
        with transaction.atomic():
            accept(application, headers=ANDROID)
            assert list(listener.notifies(timeout=0.3)) == []

        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
        assert listener.execute("SELECT count(*) FROM messaging_occurrence").fetchone() == (1,)


def test_a_channel_deleted_by_another_process_is_made_again(transactional_db: None) -> None:
    application = make_application()
    accept(application)
    Channel.objects.all().delete()  # this process still knows its id

    message = accept(application)

    assert Channel.objects.get().pk == message.channel_id
    assert Occurrence.objects.count() == 2


def test_a_message_due_at_once_is_stored_with_its_occurrence_in_one_statement(
    transactional_db: None, django_assert_num_queries: Callable[[int], AbstractContextManager[object]]
) -> None:
    application = make_application()
    accept(application)

    with django_assert_num_queries(0):  # Django counts its own; the one of `messaging.storing` is psycopg's
        message = accept(application, headers=ANDROID)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.xmin = o.xmin, o.due_at = m.created_at FROM messaging_message m "
            "JOIN messaging_occurrence o ON o.message_id = m.id WHERE m.id = %s",
            [message.pk],
        )
        assert cursor.fetchone() == (True, True)


def test_a_message_is_not_due_before_it_was_published(transactional_db: None) -> None:
    application = make_application()
    with transaction.atomic():
        began = database.now()
        message = accept(application, headers=ANDROID)

    assert began < message.created_at == Occurrence.objects.get(message=message).due_at


def test_publishing_without_permission_is_error_5007(application: Application) -> None:
    with pytest.raises(PublishForbidden) as refused:
        publish(application=application, request=request(), publisher=Publisher(may_publish=False))

    assert refused.value.code == 5007
    assert not Message.objects.exists()


def test_publish_at_in_the_past_is_error_5030(application: Application) -> None:
    with pytest.raises(InvalidPublishAt) as refused:
        accept(application, publish_at=database.now() - timedelta(seconds=6))

    assert refused.value.code == 5030
    assert not Message.objects.exists()


def test_publish_at_up_to_five_seconds_ago_means_now(application: Application) -> None:
    now = database.now()

    message = accept(application, publish_at=now - timedelta(seconds=4))

    assert Occurrence.objects.get(message=message).due_at == now


def test_a_message_for_later_is_due_at_that_very_moment(application: Application) -> None:
    later = datetime(2031, 5, 17, 12, 30, 15, 123000, tzinfo=UTC)

    message = accept(application, publish_at=later)

    assert Occurrence.objects.get(message=message).due_at == later


@pytest.mark.parametrize(
    "schedule",
    [
        {"expires_in": 60, "publish_in": 60},
        {"expires_in": 60, "publish_in": 60, "every": 10},
        {"expires_in": 30, "publish_in": 60, "every": 10},
        {"expires_in": -1, "every": 10},
    ],
    ids=["of what fires once", "at the first publishing", "before the first publishing", "in the past"],
)
def test_repeat_expires_at_that_allows_no_repetition_is_error_5003(
    application: Application, schedule: dict[str, int]
) -> None:
    now = database.now()
    wanted: dict[str, Any] = {"repeat_expires_at": now + timedelta(seconds=schedule["expires_in"])}
    if "publish_in" in schedule:
        wanted["publish_at"] = now + timedelta(seconds=schedule["publish_in"])
    if "every" in schedule:
        wanted["repeat_every"] = timedelta(seconds=schedule["every"])

    with pytest.raises(InvalidRepeatExpiresAt) as refused:
        accept(application, **wanted)

    assert refused.value.code == 5003


def test_a_repetition_needs_no_end(application: Application) -> None:
    message = accept(application, repeat_every=timedelta(seconds=1))

    assert (message.repeat_every, message.repeat_expires_at) == (timedelta(seconds=1), None)


@pytest.mark.parametrize("header", ["android-content-text", "ios-alert", "wp-content", "web-text"])
def test_a_payload_over_the_push_services_limit_is_refused(application: Application, header: str) -> None:
    with pytest.raises(PayloadOverLimit, match=r"has \d+ bytes, .* takes \d+\."):
        accept(application, headers={header: "x" * 5_001})

    assert not Message.objects.exists()


def test_bytes_count_against_the_limit_not_characters(application: Application) -> None:
    accept(application, headers={"ios-alert": "x" * 3_900})
    with pytest.raises(PayloadOverLimit):
        accept(application, headers={"ios-alert": "€" * 1_400})


def test_a_header_that_cannot_be_sent_is_refused_at_once(application: Application) -> None:
    with pytest.raises(InvalidPushHeader):
        accept(application, headers={"ios-badge": "many"})


def test_a_text_for_pub_sub_alone_may_be_longer_than_any_push(application: Application) -> None:
    message = accept(application, body="x" * 50_000, publish_policy=PublishPolicy.PUBSUB)

    assert message.body == "x" * 50_000


@pytest.mark.parametrize(
    ("values", "oses"),
    [
        ({"headers": {"android-ticker-text": "t"}}, [Os.ANDROID]),
        ({"headers": {"ios-alert": "a", "wp-title": "t"}}, [Os.IOS, Os.WP]),
        ({"headers": {"web-title": "t"}}, [Os.WEB]),
        ({"headers": {"android-": "", "note": "x"}}, [Os.ANDROID]),
        ({"headers": {}}, []),
        ({"headers": {"note": "x"}}, []),
        ({"push_broadcast": OsMask.IOS}, [Os.IOS]),
        ({"push_broadcast": OsMask.IOS | OsMask.ANDROID, "headers": {"wp-title": "t"}}, [Os.ANDROID, Os.IOS]),
        ({"push_broadcast": OsMask.ALL}, list(Os)),
        ({"push_broadcast": OsMask.NONE, "headers": ANDROID}, []),
        ({"publish_policy": PublishPolicy.PUBSUB, "headers": ANDROID}, []),
        ({"publish_policy": PublishPolicy.PUBSUB, "push_broadcast": OsMask.ALL}, []),
        ({"publish_policy": PublishPolicy.PUBSUB, "push_singlecast": ("device-a",)}, []),
        ({"publish_policy": PublishPolicy.PUSH, "headers": ANDROID}, [Os.ANDROID]),
        ({"publish_policy": PublishPolicy.BOTH, "headers": ANDROID}, [Os.ANDROID]),
    ],
)
def test_policy_broadcast_and_headers_name_the_operating_systems(
    application: Application, values: dict[str, Any], oses: list[Os]
) -> None:
    for os in Os:
        make_registration(application, os.value, token=f"{os.value}-token")

    counts = counted(application, request(**values))

    assert [os for os, _ in counts] == oses


def test_a_channel_message_means_the_channels_devices_alone(application: Application) -> None:
    make_registration(application, channels=("news",))
    make_registration(application, channels=("news", "default"))
    make_registration(application, channels=("default",))

    assert counted(application, request(channel_name="news", headers=ANDROID)) == [(Os.ANDROID, 2)]
    assert counted(application, request(channel_name="nobody-listens", headers=ANDROID)) == []


def test_named_devices_are_meant_whatever_their_channel_and_os(application: Application) -> None:
    make_registration(application, "ANDROID", ("news",), device_id="a")
    make_registration(application, "IOS", ("offers",), device_id="b")
    make_registration(application, "ANDROID", device_id="c")
    make_registration(make_application("Another"), "ANDROID", device_id="a")

    named = request(push_singlecast=("a", "b", "a", "never seen"))

    assert counted(application, named) == [(Os.ANDROID, 1), (Os.IOS, 1)]


def test_a_broadcast_narrows_named_devices_to_its_operating_systems(application: Application) -> None:
    make_registration(application, "ANDROID", device_id="a")
    make_registration(application, "IOS", device_id="b")

    named = request(push_singlecast=("a", "b"), push_broadcast=OsMask.IOS)

    assert counted(application, named) == [(Os.IOS, 1)]


def test_cancelled_before_it_fires_a_message_never_starts(application: Application) -> None:
    message = accept(application, headers=ANDROID, publish_at=database.now() + timedelta(hours=1))

    cancel(message)

    occurrence = Occurrence.objects.get(message=message)
    assert (occurrence.state, Message.objects.get().status) == (OccurrenceState.CANCELLED, MessageStatus.CANCELLED)
    assert occurrence.closed_at is not None


def test_cancelling_twice_is_error_5040(application: Application) -> None:
    message = accept(application, publish_at=database.now() + timedelta(hours=1))
    cancel(message)

    with pytest.raises(CannotCancel) as refused:
        cancel(message)

    assert refused.value.code == 5040


def test_a_published_message_cannot_be_cancelled(application: Application) -> None:
    message = accept(application)
    Message.objects.update(status=MessageStatus.PUBLISHED)

    with pytest.raises(CannotCancel):
        cancel(message)


def counted(application: Application, wanted: PublishRequest) -> list[tuple[Os, int]]:
    channel = Channel.objects.filter(application=application, name=wanted.channel_name).first()
    spec = audience_of(wanted, application, channel.pk if channel else None)
    return [(entry.os, entry.devices) for entry in audience.count(spec)]
