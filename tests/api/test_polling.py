"""Pub/sub by polling: messages of the last 60 seconds, each once (docs/rest/pubsub_retrieve_messages)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from devices.models import ApiKey
from messaging.api_models import PollingSubscription
from messaging.models import Message, Occurrence
from messaging.polling import forget_unused
from messaging.ticker import claim_due
from tests.api.conftest import Api


def subscribe(api: Api, **body: str) -> str:
    status, answer = api.post("/messaging/news/subscribe", body, as_client=True)
    assert status == 200
    return str(answer["subscriptionId"])


def publish(api: Api, message: object, **options: Any) -> str:
    _, answer = api.post("/messaging/news", {"message": message, **options})
    claim_due()
    return str(answer["messageId"])


def poll(api: Api, subscription_id: str) -> list[dict[str, Any]]:
    status, answer = api.get(f"/messaging/news/{subscription_id}", as_client=True)
    assert status == 200
    found: list[dict[str, Any]] = answer["messages"]
    return found


def test_message_comes_as_documented(api: Api) -> None:
    subscription_id = subscribe(api)
    message_id = publish(api, {"a": 1}, publisherId="pub", headers={"foo": 20})

    (message,) = poll(api, subscription_id)

    assert isinstance(message.pop("publishedAt"), int)
    assert message == {"messageId": message_id, "data": {"a": 1}, "publisherId": "pub", "headers": {"foo": "20"}}


def test_each_message_is_given_once_and_in_order(api: Api) -> None:
    subscription_id = subscribe(api)
    publish(api, "one")
    publish(api, "two")

    assert [message["data"] for message in poll(api, subscription_id)] == ["one", "two"]
    publish(api, "three")
    assert [message["data"] for message in poll(api, subscription_id)] == ["three"]
    assert poll(api, subscription_id) == []


def test_two_subscribers_get_the_same_messages(api: Api) -> None:
    first, second = subscribe(api), subscribe(api)
    publish(api, "one")

    assert poll(api, first) == poll(api, second) != []


def test_delayed_message_comes_at_its_time(api: Api) -> None:
    subscription_id = subscribe(api)
    publish(api, "later", publishAt=4_102_444_800_000)
    assert poll(api, subscription_id) == []

    Occurrence.objects.update(due_at=Now() - timedelta(seconds=1))
    claim_due()

    assert [message["data"] for message in poll(api, subscription_id)] == ["later"]


def test_firing_whose_pushes_were_skipped_is_given(api: Api) -> None:
    subscription_id = subscribe(api)
    publish(api, "overlap")
    Occurrence.objects.update(state="skipped", skip_reason="overlap", claimed_at=None, closed_at=Now())

    assert len(poll(api, subscription_id)) == 1


def test_message_cancelled_before_its_time_is_not_given(api: Api) -> None:
    subscription_id = subscribe(api)
    message_id = publish(api, "later", publishAt=4_102_444_800_000)

    api.delete(f"/messaging/{message_id}")

    assert poll(api, subscription_id) == []


def test_messages_older_than_a_minute_are_not_given(api: Api) -> None:
    subscription_id = subscribe(api)
    PollingSubscription.objects.update(created_at=Now() - timedelta(hours=1))
    publish(api, "old")
    Occurrence.objects.update(claimed_at=Now() - timedelta(seconds=61))

    assert poll(api, subscription_id) == []


def test_messages_before_the_subscription_are_not_given(api: Api) -> None:
    publish(api, "before")

    assert poll(api, subscribe(api)) == []


def test_pushes_without_pub_sub_are_not_given(api: Api) -> None:
    subscription_id = subscribe(api)
    publish(api, "push", publishPolicy="PUSH", pushBroadcast=7)

    assert poll(api, subscription_id) == []


def test_selector_and_subtopic_choose_messages(api: Api) -> None:
    by_selector, by_subtopic = subscribe(api, selector="foo > 10"), subscribe(api, subtopic="stocks.*")
    publish(api, "high", headers={"foo": 20})
    publish(api, "low", headers={"foo": 5}, subtopic="stocks.us.nyse")

    assert [message["data"] for message in poll(api, by_selector)] == ["high"]
    assert [message["data"] for message in poll(api, by_subtopic)] == ["low"]


def test_selector_that_cannot_be_read_is_refused(api: Api) -> None:
    status, answer = api.post("/messaging/news/subscribe", {"selector": "foo >"})

    assert (status, answer["code"]) == (400, 5940)
    assert "character 6" in answer["message"]


@pytest.mark.parametrize(
    "selector",
    [
        " or ".join(["a = 1"] * 51),
        f"a in ({', '.join(['1'] * 51)})",
        f"not ({' and '.join(['a between 1 and 2'] * 26)})",
        "(" * 33 + "a = 1" + ")" * 33,
        "a = " + "1" * 5_000,
    ],
)
def test_selector_that_costs_too_much_is_error_5940(api: Api, selector: str) -> None:
    status, answer = api.post("/messaging/news/subscribe", {"selector": selector})

    assert (status, answer["code"]) == (400, 5940)


def test_stored_selector_that_is_taken_no_more_is_error_5940(api: Api) -> None:
    subscription_id = subscribe(api, selector="a = 1")
    PollingSubscription.objects.update(selector=" or ".join(["a = 1"] * 51))
    publish(api, "one", headers={"a": 1})

    status, answer = api.get(f"/messaging/news/{subscription_id}")

    assert (status, answer["code"]) == (400, 5940)


@pytest.mark.parametrize("path", ["news/0C3F9A5E-0000-0000-0000-000000000000", "news/nonsense"])
def test_unknown_subscription_is_error_5933(api: Api, path: str) -> None:
    status, answer = api.get(f"/messaging/{path}")

    assert (status, answer["code"]) == (400, 5933)


def test_subscription_of_another_channel_is_unknown(api: Api) -> None:
    assert api.get(f"/messaging/other/{subscribe(api)}")[1]["code"] == 5933


def test_key_that_may_not_subscribe_is_refused(api: Api) -> None:
    ApiKey.objects.update(may_subscribe=False)

    assert api.post("/messaging/news/subscribe", {})[1]["code"] == 5911


def test_subscriptions_nobody_asks_for_are_forgotten(api: Api) -> None:
    kept, forgotten = subscribe(api), subscribe(api)
    PollingSubscription.objects.filter(subscription_id=forgotten).update(polled_at=Now() - timedelta(days=8))

    forget_unused()

    assert str(PollingSubscription.objects.get().subscription_id).upper() == kept


def test_polling_reads_an_index_and_not_every_firing_ever(api: Api) -> None:
    subscription_id = subscribe(api)
    publish(api, "repeated for years")
    message, long_ago = Message.objects.get(), datetime(2020, 1, 1, tzinfo=UTC)
    Occurrence.objects.bulk_create(
        Occurrence(message=message, n=n, due_at=long_ago, claimed_at=long_ago, closed_at=long_ago)
        for n in range(2, 5_000)
    )
    with connection.cursor() as cursor, CaptureQueriesContext(connection) as queries:
        poll(api, subscription_id)
        (reading,) = [query["sql"] for query in queries if "fired_at" in query["sql"]]
        cursor.execute("ANALYZE messaging_occurrence")
        cursor.execute("EXPLAIN " + reading.replace("%", "%%"))
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "occurrence_fired" in plan
