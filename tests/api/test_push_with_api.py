"""Seeds 0 and 1: Push with API, with the JSON of the page and of the SDKs (traffic.md 2, rows 7 to 11)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devices.push_services import Os, OsMask
from messaging.models import Message, Occurrence, PublishPolicy
from messaging.publishing import request_of, series_of
from tests.api.conftest import Api

PATH = "/messaging/default"
WIRE_ID = re.compile(r"message:[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
#: the example at the end of seed 0: for Android alone, since no value is set for iOS
CODELESS_EXAMPLE = {
    "message": "Hi",
    "publisherId": "pub",
    "headers": {
        "android-ticker-text": "You just got a push notification!",
        "android-content-title": "This is a notification title",
        "android-content-text": "Push Notifications are cool",
    },
}


def _published(api: Api, body: dict[str, Any]) -> Message:
    status, answer = api.post(PATH, body)
    assert status == 200, answer
    return Message.objects.get(message_id=answer["messageId"].removeprefix("message:"))


def _oses(api: Api, body: dict[str, Any]) -> tuple[Os, ...] | None:
    return request_of(_published(api, body)).target_oses()


def test_publish_answers_the_documented_object(api: Api) -> None:
    status, answer = api.post(PATH, CODELESS_EXAMPLE)

    assert status == 200
    assert answer == {"errorMessage": None, "messageId": answer["messageId"], "status": "scheduled"}
    assert WIRE_ID.fullmatch(answer["messageId"])


def test_publish_stores_a_message_and_its_first_occurrence_due_now(api: Api) -> None:
    message = _published(api, CODELESS_EXAMPLE)

    occurrence = Occurrence.objects.get(message=message)
    assert message.headers == CODELESS_EXAMPLE["headers"]
    assert message.publisher_id == "pub"
    assert abs(occurrence.due_at - datetime.now(UTC)) < timedelta(seconds=30)


def test_without_a_target_the_headers_name_the_operating_systems(api: Api) -> None:
    assert _oses(api, CODELESS_EXAMPLE) == (Os.ANDROID,)
    assert _oses(api, {"message": "Hi", "headers": {"ios-badge": 1, "wp-title": "x"}}) == (Os.IOS, Os.WP)
    assert _oses(api, {"message": "Hi", "headers": {"foo": 20}}) == ()


@pytest.mark.parametrize(
    ("sent", "mask"),
    [
        (0, OsMask.NONE),
        (1, OsMask.IOS),
        (2, OsMask.ANDROID),
        (3, OsMask.IOS | OsMask.ANDROID),
        (4, OsMask.WP),
        (7, OsMask.ALL),
        (8, OsMask.OSX),
        (15, OsMask.ALL),
        (16, OsMask.WEB),
        (31, OsMask.ALL),
        ("IOS", OsMask.IOS),
        ("IOS|ANDROID", OsMask.IOS | OsMask.ANDROID),
        ("ios | android", OsMask.IOS | OsMask.ANDROID),
        ("FOR_IOS|FOR_ANDROID", OsMask.IOS | OsMask.ANDROID),
        ("ALL", OsMask.ALL),
        ("FOR_ALL", OsMask.ALL),
        ("FOR_NONE", OsMask.NONE),
        ("WEB", OsMask.WEB),
        (None, None),
    ],
)
def test_push_broadcast_in_every_spelling(api: Api, sent: object, mask: OsMask | None) -> None:
    assert _published(api, {"message": "h", "pushBroadcast": sent}).push_broadcast == mask


@pytest.mark.parametrize("value", [-1, 32, 1.5, 2**62, True, "", "SYMBIAN", "IOS,ANDROID", [], {"IOS": 1}])
def test_push_broadcast_of_no_meaning_is_refused(api: Api, value: object) -> None:
    status, answer = api.post(PATH, {"message": "h", "pushBroadcast": value})

    assert (status, answer["code"]) == (400, 5901)
    assert answer["message"].startswith("pushBroadcast")
    assert not Message.objects.exists()


def test_push_singlecast_keeps_each_device_once_in_order(api: Api) -> None:
    message = _published(api, {"message": "h", "pushSinglecast": ["d2", "d1", "d2"]})

    assert message.push_singlecast == ["d2", "d1"]
    assert request_of(message).target_oses() is None


def test_an_empty_push_singlecast_never_means_everyone(api: Api) -> None:
    status, answer = api.post(PATH, {"message": "h", "pushSinglecast": []})

    assert (status, answer["code"]) == (400, 5921)
    assert not Message.objects.exists()


@pytest.mark.parametrize("value", ["d1", {"d1": 1}, ["d1", 2], [None], 1])
def test_push_singlecast_that_is_no_list_of_texts_is_refused(api: Api, value: object) -> None:
    status, answer = api.post(PATH, {"message": "h", "pushSinglecast": value})

    assert (status, answer["code"]) == (400, 5901)


def test_push_singlecast_takes_a_hundred_thousand_devices_and_no_more(api: Api) -> None:
    at_the_limit = [f"device-{number}" for number in range(100_000)]

    assert api.post(PATH, {"message": "h", "pushSinglecast": at_the_limit})[0] == 200
    status, answer = api.post(PATH, {"message": "h", "pushSinglecast": [*at_the_limit, "one more"]})
    assert (status, answer["code"]) == (400, 8000)
    assert "pushSinglecast" in answer["message"]


@pytest.mark.parametrize(
    ("body", "policy"),
    [
        ({}, PublishPolicy.BOTH),
        ({"publishPolicy": "PUSH"}, PublishPolicy.PUSH),
        ({"publishPolicy": "PUBSUB"}, PublishPolicy.PUBSUB),
        ({"publishPolicy": "both"}, PublishPolicy.BOTH),
        ({"pushPolicy": "ONLY"}, PublishPolicy.PUSH),
        ({"pushPolicy": "ALSO"}, PublishPolicy.BOTH),
        ({"pushPolicy": "NONE"}, PublishPolicy.PUBSUB),
    ],
)
def test_publish_policy_and_its_older_name(api: Api, body: dict[str, Any], policy: PublishPolicy) -> None:
    assert _published(api, {"message": "h", **body}).publish_policy == policy


@pytest.mark.parametrize("body", [{"publishPolicy": "LOUD"}, {"pushPolicy": "PUSH"}, {"publishPolicy": 1}])
def test_an_unknown_policy_is_refused(api: Api, body: dict[str, Any]) -> None:
    assert api.post(PATH, {"message": "h", **body})[1]["code"] == 5901


def test_pubsub_only_pushes_to_nobody(api: Api) -> None:
    assert _oses(api, {"message": "h", "publishPolicy": "PUBSUB", "pushBroadcast": 7}) == ()


@pytest.mark.parametrize("moment", [1893477600000, 1893477600, "2030-01-01T06:00:00.000Z", 1893477600000.0])
def test_publish_at_schedules_the_first_occurrence(api: Api, moment: object) -> None:
    message = _published(api, {"message": "h", "publishAt": moment})

    assert Occurrence.objects.get(message=message).due_at == datetime(2030, 1, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize("moment", [0, -5, 1_500_000_000_000, 1_500_000_000, True, "soon", "2030-01-01", [], 1e300])
def test_publish_at_in_the_past_or_no_moment_is_error_5030(api: Api, moment: object) -> None:
    status, answer = api.post(PATH, {"message": "h", "publishAt": moment})

    assert (status, answer["code"]) == (400, 5030)
    assert not Message.objects.exists()


def test_a_text_that_is_no_moment_is_refused_in_words_of_the_api(api: Api) -> None:
    _, answer = api.post(PATH, {"message": "h", "publishAt": ""})

    assert "ISO 8601" in answer["message"]
    assert "isoformat" not in answer["message"]


def test_publish_at_a_moment_ago_means_now(api: Api) -> None:
    moment_ago = datetime.now(UTC) - timedelta(seconds=2)

    status, _ = api.post(PATH, {"message": "h", "publishAt": round(moment_ago.timestamp() * 1000)})

    assert status == 200


def test_repeating_is_kept_as_asked(api: Api) -> None:
    message = _published(
        api, {"message": "h", "publishAt": 1893477600000, "repeatEvery": 60, "repeatExpiresAt": 1893481200000}
    )

    assert message.repeat_every == timedelta(seconds=60)
    assert message.repeat_expires_at == datetime(2030, 1, 1, 7, tzinfo=UTC)


@pytest.mark.parametrize("seconds", [0, -1, 0.5, "10", 10**18, True])
def test_repeat_every_must_be_whole_seconds(api: Api, seconds: object) -> None:
    assert api.post(PATH, {"message": "h", "repeatEvery": seconds})[1]["code"] == 5920


def test_repeat_every_beyond_ten_years_is_told_the_limit(api: Api) -> None:
    answer = api.post(PATH, {"message": "h", "repeatEvery": 315_360_001})[1]

    assert answer["code"] == 5920
    assert answer["message"] == "repeatEvery must be a whole number of seconds, 1 to 315,360,000."


@pytest.mark.parametrize(
    "body",
    [
        {"repeatEvery": 60, "repeatExpiresAt": 1_500_000_000_000},
        {"repeatEvery": 60, "publishAt": 1893481200000, "repeatExpiresAt": 1893477600000},
        {"publishAt": 1893481200000, "repeatExpiresAt": 1893477600000},
        {"repeatEvery": 60, "repeatExpiresAt": "never"},
    ],
)
def test_repeat_expires_at_that_cannot_be_is_error_5003(api: Api, body: dict[str, Any]) -> None:
    assert api.post(PATH, {"message": "h", **body})[1]["code"] == 5003


def test_repeat_expires_at_without_repeat_every_is_sent_once(api: Api) -> None:
    """As SDK 8 sends it (traffic.md 2, call 9): its DeliveryOptions drop a `repeatEvery` of 0, and nothing else."""
    dates = {"publishAt": "2030-01-01T06:00:00.000Z", "repeatExpiresAt": "2030-01-01T07:00:00.000Z"}

    message = _published(api, {"message": "h", "pushBroadcast": "IOS|ANDROID", **dates})

    assert message.publish_at == datetime(2030, 1, 1, 6, tzinfo=UTC)
    assert series_of(message) is None


def test_repeat_every_in_the_spelling_of_the_vendors_general_page(api: Api) -> None:
    """`releatEvery`, as "General API" of publishing documents it."""
    assert _published(api, {"message": "h", "releatEvery": 60}).repeat_every == timedelta(seconds=60)
    assert [api.post(PATH, {"message": "h", "releatEvery": wrong})[1]["code"] for wrong in (0, "10")] == [5920, 5920]


def test_the_key_shipped_in_apps_may_not_publish(api: Api) -> None:
    status, answer = api.post(PATH, CODELESS_EXAMPLE, as_client=True)

    assert (status, answer["code"]) == (403, 5007)
    assert answer["message"] == "User does not have the permission to publish messages."
    assert not Message.objects.exists()


def test_segment_query_alone_means_every_system(api: Api) -> None:
    message = _published(api, {"message": "h", "segmentQuery": "channelName='news'"})

    assert message.segment_query == "channelName='news'"
    assert set(request_of(message).target_oses() or ()) == set(Os)


def test_segment_query_narrows_the_systems_named(api: Api) -> None:
    message = _published(api, {"message": "h", "segmentQuery": "age > 18", "pushBroadcast": "IOS"})

    assert request_of(message).target_oses() == (Os.IOS,)


def test_segment_query_that_cannot_be_read_is_error_5913(api: Api) -> None:
    status, answer = api.post(PATH, {"message": "h", "segmentQuery": "age > "})

    assert (status, answer["code"]) == (400, 5913)
    assert "character 7" in answer["message"]
    assert not Message.objects.exists()
