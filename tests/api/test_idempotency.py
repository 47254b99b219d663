"""Idempotency-Key on publish: however often a call is repeated, there is one message (reliability.md 2.6)."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test import Client

from messaging.api_models import IdempotencyKey
from messaging.errors import IdempotencyKeyInUse
from messaging.idempotency import forget_old_keys, publish_once
from messaging.models import Message
from messaging.publishing import Publisher, PublishRequest
from messaging.publishing import publish as publish_message
from messaging.template_models import PushTemplate
from tests.api.conftest import Api
from tests.factories import make_account, make_application

KEY = {"Idempotency-Key": "order-1"}
BODY = {"message": "Hi", "headers": {"a": "b", "c": "d"}}


def test_same_call_again_gives_the_same_message(api: Api) -> None:
    first = api.post("/messaging/news", BODY, **KEY)
    again = api.post("/messaging/news", {"headers": {"c": "d", "a": "b"}, "message": "Hi"}, **KEY)

    assert first == again
    assert Message.objects.count() == 1


def test_replay_says_so_in_a_header(api: Api) -> None:
    account = make_account()
    answers = [
        Client().post(
            f"{account.prefix}/messaging/news", BODY, content_type="application/json", headers={"Idempotency-Key": "k"}
        )
        for _ in range(2)
    ]

    assert [answer.headers.get("Idempotency-Replayed") for answer in answers] == [None, "true"]


@pytest.mark.parametrize(("path", "body"), [("news", {**BODY, "message": "Other"}), ("other", BODY)])
def test_another_request_under_the_key_is_refused_with_422(api: Api, path: str, body: dict[str, object]) -> None:
    api.post("/messaging/news", BODY, **KEY)

    status, answer = api.post(f"/messaging/{path}", body, **KEY)

    assert (status, answer["code"]) == (422, 5931)
    assert Message.objects.count() == 1


def test_refused_publish_is_not_remembered(api: Api) -> None:
    refused = api.post("/messaging/news", {"message": "Hi", "publishAt": 1}, **KEY)
    accepted = api.post("/messaging/news", BODY, **KEY)

    assert (refused[0], accepted[0]) == (400, 200)


def test_keys_of_applications_are_their_own(api: Api) -> None:
    other = Api(make_account(), Client())

    assert api.post("/messaging/news", BODY, **KEY)[1] != other.post("/messaging/news", BODY, **KEY)[1]


def test_key_is_forgotten_after_thirty_days(api: Api) -> None:
    api.post("/messaging/news", BODY, **KEY)
    IdempotencyKey.objects.update(created_at=Now() - timedelta(days=30, seconds=1))

    api.post("/messaging/news", {"message": "Other"}, **KEY)

    assert Message.objects.count() == 2
    assert IdempotencyKey.objects.count() == 1


def test_housekeeping_removes_old_keys_only(api: Api) -> None:
    api.post("/messaging/news", BODY, **KEY)
    api.post("/messaging/news", BODY, **{"Idempotency-Key": "order-2"})
    IdempotencyKey.objects.filter(key="order-1").update(created_at=Now() - timedelta(days=31))

    forget_old_keys()

    assert [row.key for row in IdempotencyKey.objects.all()] == ["order-2"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é"])
def test_key_that_is_none_is_refused(api: Api, key: str) -> None:
    status, answer = api.post("/messaging/news", BODY, **{"Idempotency-Key": key})

    assert (status, answer["code"]) == (400, 5901)


def test_pushes_from_templates_take_the_key_too(api: Api) -> None:
    PushTemplate.objects.create(application=api.account.application, name="welcome", message="Hi")

    first = api.post("/messaging/push/welcome", {}, **KEY)

    assert api.post("/messaging/push/welcome", {}, **KEY) == first
    assert api.post("/messaging/welcome", {}, **KEY)[0] == 422


@pytest.mark.parametrize("change", ["deleted", "edited"])
def test_a_push_from_a_template_is_replayed_whatever_became_of_the_template(api: Api, change: str) -> None:
    templates = PushTemplate.objects.filter(application=api.account.application)
    templates.create(application=api.account.application, name="welcome", message="Hello")
    first = api.post("/messaging/push/welcome", {}, **KEY)

    templates.delete() if change == "deleted" else templates.update(segment_query="plan = '{plan}'")

    assert api.post("/messaging/push/welcome", {}, **KEY) == first
    assert api.post("/messaging/push/welcome", {})[0] == 400


@pytest.mark.django_db(transaction=True)
def test_call_during_the_first_one_is_answered_409() -> None:
    application = make_application()
    is_locked, may_end = threading.Event(), threading.Event()

    def first() -> None:
        with transaction.atomic():
            publish_once(
                application,
                "k",
                b"1",
                lambda: publish_message(
                    application=application,
                    request=PublishRequest(channel_name="news", body="Hi"),
                    publisher=Publisher(may_publish=True),
                ),
            )
            is_locked.set()
            may_end.wait(10)
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert is_locked.wait(10)

    with pytest.raises(IdempotencyKeyInUse):
        publish_once(application, "k", b"1", Message)

    may_end.set()
    thread.join()
    assert publish_once(application, "k", b"1", Message).is_replayed
