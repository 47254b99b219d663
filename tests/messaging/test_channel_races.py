"""A channel that is deleted beside whoever uses it: neither side meets an error."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from devices.channels import channel_ids, delete_channel, ensure_channels, forget
from devices.errors import UnknownChannel
from devices.models import Application, Channel
from messaging import polling
from messaging.idempotency import publish_once
from messaging.models import Message
from messaging.polling import SubscriptionRequest
from messaging.publishing import Publisher, PublishRequest, publish
from tests.factories import make_application
from tests.messaging.stage import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

_PATIENCE_S = 10.0


def _closing(call: Callable[[], object]) -> object:
    """For threads: their connection ends with the call."""
    try:
        return call()
    finally:
        connections.close_all()


def _somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone() != (0,))


def _publish(application: Application) -> Message:
    request = PublishRequest(channel_name="news", body="Hi")
    return publish(application=application, request=request, publisher=Publisher(may_publish=True))


def test_a_channel_is_deleted_once_a_message_that_is_published_under_a_key_is_stored() -> None:
    application = make_application()
    ensure_channels(application, ["news"])
    is_published, may_end = threading.Event(), threading.Event()

    def publishing() -> Message:
        message = _publish(application)
        is_published.set()
        assert may_end.wait(_PATIENCE_S)
        return message

    with ThreadPoolExecutor(2) as pool:
        published = pool.submit(_closing, lambda: publish_once(application, "key", b"digest", publishing))
        assert is_published.wait(_PATIENCE_S)
        deletion = pool.submit(_closing, lambda: delete_channel(application, "news"))
        wait_until(_somebody_waits_for_a_lock, _PATIENCE_S, "the deletion to wait")
        may_end.set()
        published.result(_PATIENCE_S)
        deletion.result(_PATIENCE_S)

    assert not Channel.objects.exists()
    message = Message.objects.get()
    assert (message.channel_id, message.channel_name) == (None, "news")


@pytest.mark.parametrize(
    "use",
    [_publish, lambda application: polling.subscribe(application, SubscriptionRequest(channel_name="news"))],
    ids=["publishing", "subscribing"],
)
def test_whoever_comes_while_a_channel_is_deleted_makes_it_anew(use: Callable[[Application], object]) -> None:
    application = make_application()
    (old,) = ensure_channels(application, ["news"])
    old_pk = old.pk

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Channel.objects.select_for_update().get(pk=old.pk)
            old.delete()
            using = pool.submit(_closing, lambda: use(application))
            wait_until(_somebody_waits_for_a_lock, _PATIENCE_S, "it to wait for the channel")
        using.result(_PATIENCE_S)

    assert Channel.objects.get().pk != old_pk


def test_of_two_who_delete_a_channel_at_once_one_is_told_that_there_is_none() -> None:
    application = make_application()
    ensure_channels(application, ["news"])
    (channel,) = Channel.objects.all()

    with ThreadPoolExecutor(2) as pool:
        with transaction.atomic():
            Channel.objects.select_for_update().get(pk=channel.pk)
            both = [pool.submit(_closing, lambda: delete_channel(application, "news")) for _ in range(2)]
            wait_until(_somebody_waits_for_a_lock, _PATIENCE_S, "both to wait")
        errors = [deletion.exception(_PATIENCE_S) for deletion in both]

    assert sorted(map(type, errors), key=str) == sorted([type(None), UnknownChannel], key=str)


def test_a_channel_deleted_while_it_is_looked_up_is_made_anew() -> None:
    application = make_application()
    (old,) = ensure_channels(application, ["news"])
    forget(application.pk, ["news"])

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Channel.objects.create(application=application, name="early")  # whoever makes it too waits
            looking_up = pool.submit(_closing, lambda: channel_ids(application.pk, ["early", "news"]))
            wait_until(_somebody_waits_for_a_lock, _PATIENCE_S, "the look-up to wait")
            with ThreadPoolExecutor(1) as other:
                other.submit(_closing, lambda: delete_channel(application, "news")).result(_PATIENCE_S)
        found = looking_up.result(_PATIENCE_S)

    assert found == [Channel.objects.get(name=name).pk for name in ("early", "news")]
    assert old.pk not in found
