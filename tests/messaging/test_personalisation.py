"""Smart text: values of the call and of each device in the texts of a push; a device without a value is skipped."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from devices.push_services import Os, OsMask
from devices.user_models import AppUser
from messaging.drain import Drain
from messaging.ledger import deliveries_of, failure_groups
from messaging.models import DeliveryOutcome, PublishPolicy
from messaging.publishing import PublishRequest, publish
from messaging.smart_text import MissingValue, RenderedTooLong, compile_text
from messaging.templates import TemplateSnapshot
from messaging.ticker import claim_due
from tests.messaging.stage import Stage, fresh


def request_with(body: str, headers: dict[Os, dict[str, str]] | None = None, **values: str) -> PublishRequest:
    return PublishRequest(
        channel_name="default",
        body=body,
        publish_policy=PublishPolicy.PUSH,
        push_broadcast=OsMask.ANDROID | OsMask.IOS,
        template=TemplateSnapshot(name="welcome", values=values, headers=headers or {}),
    )


def test_text_without_placeholders_stays_as_it_is() -> None:
    assert compile_text('{"a": 1} {} {1} { not this }').render({}) == '{"a": 1} {} {1} { not this }'


def test_value_takes_the_place_of_its_name() -> None:
    assert compile_text("Hi { Users.name }, {n}!").render({"Users.name": "Bob", "n": "3"}) == "Hi Bob, 3!"


def test_default_stands_in_for_a_missing_or_empty_value() -> None:
    assert compile_text("Hi {name| friend }").render({"name": ""}) == "Hi friend"


def test_missing_value_without_default_is_an_error() -> None:
    with pytest.raises(MissingValue, match="{name}"):
        compile_text("Hi {name}").render({})


def test_a_value_is_not_read_as_smart_text_again() -> None:
    assert compile_text("{a}").render({"a": "{b}"}) == "{b}"


def test_text_beyond_4_kib_is_refused() -> None:
    with pytest.raises(RenderedTooLong):
        compile_text("{a}{a}{a}{a}{a}").render({"a": "x" * 1024})


def test_each_device_gets_its_own_values(stage: Stage) -> None:
    stage.devices(1, attributes={"first": "Ann"})
    stage.devices(1, attributes={"first": "Bob"})
    request = request_with("{greeting} {first}", {Os.ANDROID: {"android-content-title": "For {first}"}}, greeting="Hi")

    message = publish(application=stage.application, request=request, publisher=stage.publisher)
    claim_due()
    Drain().run()

    sent = [entry["notification"]["message"]["data"] for entry in stage.requests("fcm")]
    assert sorted((data["message"], data["android-content-title"]) for data in sent) == [
        ("Hi Ann", "For Ann"),
        ("Hi Bob", "For Bob"),
    ]
    assert message.occurrences.get().accepted == 2


@pytest.mark.parametrize("os_name", ["WP", "WEB"])
def test_windows_and_browsers_get_their_own_values_too(stage: Stage, os_name: str) -> None:
    stage.devices(1, os_name, attributes={"first": "Ann"})
    stage.devices(1, os_name)
    request = replace(request_with("Hi {first}"), push_broadcast=OsMask.ALL)

    message = publish(application=stage.application, request=request, publisher=stage.publisher)
    claim_due()
    Drain().run()

    occurrence = message.occurrences.get()
    assert (occurrence.accepted, occurrence.skipped) == (1, 1)


def test_properties_of_the_logged_in_user_are_values_too(stage: Stage) -> None:
    ann = AppUser.objects.create(application=stage.application, login="ann", name="Ann", properties={"plan": "gold"})
    stage.devices(1, user_id=ann.object_id)

    request = request_with("{Users.name}: {Users.plan}, {Users.shoe.size|42}")
    publish(application=stage.application, request=request, publisher=stage.publisher)
    claim_due()
    Drain().run()

    (entry,) = stage.requests("fcm")
    assert entry["notification"]["message"]["data"]["message"] == "Ann: gold, 42"


def test_device_without_a_value_is_skipped_with_that_reason(stage: Stage) -> None:
    stage.devices(1, "IOS", attributes={"first": "Ann"})
    stage.devices(2, "IOS")

    message = publish(application=stage.application, request=request_with("Hi {first}"), publisher=stage.publisher)
    claim_due()
    Drain().run()

    occurrence = message.occurrences.get()
    (group,) = failure_groups(occurrence)
    assert (occurrence.accepted, occurrence.skipped) == (1, 2)
    assert (group.outcome, group.reason, group.devices) == (DeliveryOutcome.NOT_SENDABLE, "TemplateValueMissing", 2)
    assert "{first}" in group.example_detail
    assert len(stage.requests("apns")) == 1


def test_device_whose_text_outgrows_the_payload_is_skipped(stage: Stage) -> None:
    stage.devices(1, attributes={"long": "x" * 4_000})

    request = request_with("Hi {long}", {Os.ANDROID: {"android-content-title": "{long}"}})
    message = publish(application=stage.application, request=request, publisher=stage.publisher)
    claim_due()
    Drain().run()

    (delivery,) = deliveries_of(fresh(message.occurrences.get()))
    assert (delivery.outcome, delivery.reason) == (DeliveryOutcome.NOT_SENDABLE, "PayloadTooLarge")


def test_values_are_read_once_per_batch(stage: Stage) -> None:
    stage.devices(50, attributes={"first": "Ann"})
    publish(application=stage.application, request=request_with("Hi {first}"), publisher=stage.publisher)
    claim_due()

    with CaptureQueriesContext(connection) as queries:
        Drain().run()

    assert sum("r.attributes" in query["sql"] for query in queries) == 1
