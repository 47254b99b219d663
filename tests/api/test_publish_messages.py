"""Seeds 2 and 4: publishing to channels, with the requests of the JS SDK (traffic.md 2, rows 2 to 7)."""

from __future__ import annotations

import json

import pytest

from devices.models import Channel
from messaging.models import Message
from messaging.publishing import request_of
from tests.api.conftest import Api

PATH = "/messaging/default"


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ('{"message":"hello"}', "hello"),
        ('{"message":{"a":1}}', {"a": 1}),
        ('{"message":null}', None),
        ("{}", None),
        ('{"message":[1,2.5,true,"x"]}', [1, 2.5, True, "x"]),
        ('{"message":42}', 42),
        ('{"message":false}', False),
        ('{"message":"\\ud83d\\udc4d \U0001f469‍\U0001f680"}', "\U0001f44d \U0001f469‍\U0001f680"),
    ],
)
def test_a_message_may_be_any_json(api: Api, raw: str, stored: object) -> None:
    status, _ = api.post(PATH, raw)

    assert status == 200
    assert Message.objects.get().body == stored


def test_header_values_become_texts(api: Api) -> None:
    headers = {"android-ticker-text": "T", "ios-alert": "A", "ios-badge": 1, "foo": 20, "ratio": 0.5, "on": True}
    headers |= {"whole": 20.0, "below": -3.0, "huge": 1e300}

    api.post(PATH, {"message": "h", "publisherId": "pub", "headers": headers, "subtopic": "st"})

    message = Message.objects.get()
    assert message.headers == {
        "android-ticker-text": "T",
        "ios-alert": "A",
        "ios-badge": "1",
        "foo": "20",
        "ratio": "0.5",
        "on": "true",
        "whole": "20",
        "below": "-3",
        "huge": "1e+300",
    }
    assert (message.publisher_id, message.subtopic) == ("pub", "st")


@pytest.mark.parametrize(("query", "stored"), [("", ""), ("  ", ""), (None, "")])
def test_an_empty_segment_query_is_none(api: Api, query: str | None, stored: str) -> None:
    status, _ = api.post("/messaging/default", {"message": "h", "segmentQuery": query})

    message = Message.objects.get()
    assert (status, message.segment_query) == (200, stored)
    assert request_of(message).target_oses() == ()


def test_an_unknown_channel_is_created(api: Api) -> None:
    api.post("/messaging/stocks", {"message": "h"})

    channel = Channel.objects.get(application=api.account.application)
    assert channel.name == "stocks"
    assert Message.objects.get().channel == channel


def test_Default_is_the_default_channel(api: Api) -> None:
    api.post("/messaging/Default", {"message": "h"})

    assert Message.objects.get().channel_name == "default"


def test_a_plus_in_a_channel_name_stays_a_plus(api: Api) -> None:
    api.post("/messaging/my%20chan%20%E2%82%AC+", {"message": "x"})

    assert Message.objects.get().channel_name == "my chan €+"


def test_keys_nobody_knows_are_ignored(api: Api) -> None:
    status, _ = api.post(PATH, {"message": "h", "___class": "x", "templateValues": {"a": 1}, "query": None})

    assert status == 200


def test_every_optional_key_may_be_null(api: Api) -> None:
    keys = (
        "publisherId headers subtopic publishPolicy pushPolicy pushBroadcast pushSinglecast segmentQuery "
        "publishAt repeatEvery repeatExpiresAt"
    )

    status, _ = api.post(PATH, dict.fromkeys(keys.split()) | {"message": "h"})

    assert status == 200


@pytest.mark.parametrize("name", ["push", "registration", "channels"])
def test_a_reserved_word_is_no_channel(api: Api, name: str) -> None:
    status, answer = api.post(f"/messaging/{name}", {"message": "h"})

    assert (status, answer["code"]) == (404, 5904)
    assert not Channel.objects.exists()


@pytest.mark.parametrize("name", ["message:1", "c" * 129, "a%0Ab", "%20news"])
def test_a_channel_name_that_could_not_be_addressed_is_refused(api: Api, name: str) -> None:
    status, answer = api.post(f"/messaging/{name}", {"message": "h"})

    assert (status, answer["code"]) == (400, 5912)


@pytest.mark.parametrize(
    "headers",
    [
        {"a\nb": "x"},
        {"": "x"},
        {"foo": None},
        {"foo": ["x"]},
        {"foo": {"a": 1}},
        ["foo"],
        "foo",
    ],
)
def test_headers_without_a_name_or_a_plain_value_are_refused(api: Api, headers: object) -> None:
    status, answer = api.post(PATH, {"message": "h", "headers": headers})

    assert (status, answer["code"]) == (400, 5922)


def test_a_text_in_headers_may_have_lines(api: Api) -> None:
    text = "Spring sale\nUntil Sunday\r\n\tin all shops"

    status, _ = api.post(PATH, {"message": "h", "headers": {"android-content-text": text, "ios-alert-body": text}})

    assert status == 200
    assert Message.objects.get().headers == {"android-content-text": text, "ios-alert-body": text}


@pytest.mark.parametrize(
    "body",
    [
        {"headers": {f"h{n}": "x" for n in range(101)}},
        {"headers": {"foo": "x" * 4097}},
        {"headers": {"x" * 256: "foo"}},
        {"publisherId": "p" * 256},
        {"subtopic": "s" * 256},
        {"pushSinglecast": ["d" * 256]},
    ],
)
def test_a_property_over_its_limit_is_error_8000_naming_it(api: Api, body: dict[str, object]) -> None:
    status, answer = api.post(PATH, {"message": "h", **body})

    assert (status, answer["code"]) == (400, 8000)
    assert next(iter(body)) in answer["message"]


def test_a_payload_over_the_push_services_limit_is_refused_at_once(api: Api) -> None:
    body = {"message": "é" * 2_000, "pushBroadcast": "IOS"}

    assert api.post(PATH, body)[0] == 200
    assert api.post(PATH, body | {"message": "é" * 2_048})[1]["code"] == 5923


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}", "javascript:alert(1)", "‮abc"]
)
def test_hostile_text_is_stored_as_it_is(api: Api, text: str) -> None:
    status, _ = api.post(PATH, json.dumps({"message": text, "publisherId": text, "headers": {"foo": text}}))

    message = Message.objects.get()
    assert status == 200
    assert (message.body, message.publisher_id, message.headers) == (text, text, {"foo": text})
