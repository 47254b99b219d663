"""When a published message reaches live subscribers, and which of them."""

from __future__ import annotations

import time
import urllib.error
from datetime import UTC, datetime

import pytest

from devices.models import Application
from messaging import publishing
from messaging.models import Message, Occurrence, PublishPolicy
from messaging.publishing import Publisher, PublishRequest
from messaging.realtime.live_message import wire_object
from messaging.templates import TemplateSnapshot
from tests.factories import make_account
from tests.realtime.conftest import Live


def in_seconds(seconds: float) -> int:
    """A wire time from now."""
    return round((time.time() + seconds) * 1000)


def test_a_publish_reaches_a_subscriber_within_a_quarter_of_a_second(live: Live) -> None:
    client = live.client()
    client.subscribe("MESSAGES")
    live.publish("warm up")
    client.next_content()

    started = time.monotonic()
    live.publish("now")

    assert client.next_content()["message"] == "now"
    assert time.monotonic() - started < 0.25


def test_an_immediate_publish_reaches_a_subscriber_once(live: Live) -> None:
    client = live.client()
    client.subscribe("MESSAGES")

    message_id = live.publish("once")

    assert client.next_content()["messageId"] == message_id
    claimed_or_not = Occurrence.objects.filter(message__message_id=message_id.removeprefix("message:").lower())
    assert claimed_or_not.count() == 1
    assert client.is_silent(1.0)


def test_a_delayed_publish_reaches_a_subscriber_at_its_time_and_once(live: Live) -> None:
    client = live.client()
    client.subscribe("MESSAGES")
    publish_at = in_seconds(1.5)

    message_id = live.publish("later", publishAt=publish_at)
    content = client.next_content()

    assert (content["messageId"], content["publishAt"], content["timestamp"]) == (message_id, publish_at, publish_at)
    assert 0 <= time.time() * 1000 - publish_at < 1_000
    assert client.is_silent(1.0)


def test_each_repeated_firing_reaches_a_subscriber_once(live: Live) -> None:
    client = live.client()
    client.subscribe("MESSAGES")

    live.publish("again", repeatEvery=1, repeatExpiresAt=in_seconds(2.5))
    firings = [client.next_content() for _ in range(3)]

    times = [firing["timestamp"] for firing in firings]
    assert [later - earlier for earlier, later in zip(times, times[1:], strict=False)] == [1000, 1000]
    assert {firing["repeatEvery"] for firing in firings} == {1}
    assert client.is_silent(1.5)


def test_a_message_cancelled_before_its_time_reaches_nobody(live: Live) -> None:
    client = live.client()
    client.subscribe("MESSAGES")
    live.publish("never", publishAt=in_seconds(1))

    publishing.cancel(Message.objects.get(channel_name="default"))

    assert client.is_silent(1.7)


def test_a_message_for_push_alone_reaches_no_subscriber(live: Live) -> None:
    client = live.client()
    client.subscribe("MESSAGES")

    live.publish("push", publishPolicy="PUSH", pushBroadcast="ALL")

    assert client.is_silent(1.0)


@pytest.mark.parametrize(("policy", "shown"), [("PUBSUB", "PUBSUB"), ("BOTH", "BOTH"), (None, None)])
def test_a_message_for_subscribers_reaches_them_whatever_the_push_side_does(
    live: Live, policy: str | None, shown: str | None
) -> None:
    client = live.client()
    client.subscribe("MESSAGES")

    live.publish("both", **({"publishPolicy": policy} if policy else {}), pushBroadcast=3)

    content = client.next_content()
    assert (content["publishPolicy"], content["pushBroadcast"]) == (shown, 3)


def test_a_message_of_another_channel_or_application_reaches_nobody_here(live: Live) -> None:
    client = live.client()
    client.subscribe("MESSAGES", "news")
    elsewhere = make_account()

    live.publish("other channel", "sports")
    publish_inside(elsewhere.application, "news")

    assert client.is_silent(0.7)


def test_the_sample_spelling_of_the_default_channel_is_the_same_channel(live: Live) -> None:
    client = live.client()
    client.subscribe("MESSAGES", "Default")

    live.publish("hello", "default")

    assert client.next_content()["message"] == "hello"


def test_what_the_console_publishes_reaches_subscribers_too(live: Live) -> None:
    client = live.client()
    client.subscribe("MESSAGES")

    publish_inside(live.account.application, "default")

    assert client.next_content()["message"] == "inside"


def test_a_refused_publish_reaches_nobody(live: Live) -> None:
    client = live.client()
    client.subscribe("MESSAGES")

    with pytest.raises(urllib.error.HTTPError):
        live.publish("refused", publishAt=1)

    assert client.is_silent(0.5)


def test_values_of_a_template_are_shown_to_subscribers() -> None:
    template = TemplateSnapshot(name="tea", values={"name": "Kim"}).to_json()
    occurrence = Occurrence(message=Message(template=template), due_at=datetime.now(UTC))

    assert wire_object(occurrence)["templateValues"] == {"name": "Kim"}


def publish_inside(application: Application, channel_name: str) -> Message:
    request = PublishRequest(channel_name=channel_name, body="inside", publish_policy=PublishPolicy.PUBSUB)
    return publishing.publish(application=application, request=request, publisher=Publisher(may_publish=True))
