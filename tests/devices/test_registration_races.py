"""Registrations beside whoever else writes the same rows, each held at the very moment that hurts."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

import pytest
from django.contrib.admin import site
from django.db import connection, connections, transaction
from django.test import RequestFactory

from devices import registration
from devices.admin import DeviceRegistrationAdmin
from devices.channels import delete_channel, ensure_channels
from devices.models import Channel, DeviceRegistration, Subscription
from devices.push_services import Os, PushService
from devices.registration import Registered, RegistrationRequest, register
from tests.factories import make_application

pytestmark = pytest.mark.django_db(transaction=True)

_PATIENCE_S = 10.0


def _request(device_id: str, *channels: str) -> RegistrationRequest:
    return RegistrationRequest(
        device_id=device_id,
        token=f"token-of-{device_id}",
        os=Os.ANDROID,
        push_service=PushService.FCM,
        channel_names=channels or ("default",),
    )


def _closing(call: Callable[[], object]) -> object:
    """For threads: their connection ends with the call."""
    try:
        return call()
    finally:
        connections.close_all()


def _wait_until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def _somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone() != (0,))


def test_a_channel_can_be_deleted_while_a_device_is_registering_with_it() -> None:
    application = make_application()
    ensure_channels(application, ["news"])

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            register(application, _request("a", "news"))
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # as far as a commit comes before it is seen
            deletion = pool.submit(_closing, lambda: delete_channel(application, "news"))
            _wait_until(_somebody_waits_for_a_lock)
        deletion.result(timeout=_PATIENCE_S)

    assert not Channel.objects.exists()
    assert not Subscription.objects.exists()


def test_a_group_that_hung_undoes_nothing_that_came_after_it() -> None:
    application = make_application()
    earlier = _request("a", "tea")
    register(application, earlier)
    hung = {**registration._wanted(application, earlier), "unless_seen_since": datetime.now(UTC)}

    register(application, _request("a", "coffee"))  # answered while the group hangs
    stored = registration._store([hung], may_change_token=False, is_hurried=True)

    assert stored == [None]
    assert Subscription.objects.get().channel.name == "coffee"


def _session_of_thread() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def _has_come(device_id: str) -> bool:
    calls = [registration._group_commit._leader, *registration._group_commit._waiting]
    return any(call is not None and call.item["device_id"] == device_id for call in calls)


def test_a_database_session_that_stands_still_holds_no_call_but_the_one_that_uses_it() -> None:
    application = make_application()
    register(application, _request("held"))
    sessions: list[int] = []

    def call(device_id: str) -> Registered:
        if device_id == "first":
            sessions.append(_session_of_thread())
            os.kill(sessions[0], signal.SIGSTOP)
        return register(application, _request(device_id))

    with ThreadPoolExecutor(10) as pool:
        try:
            with transaction.atomic():  # until all have come, the group before them waits for this device
                DeviceRegistration.objects.select_for_update().get(device_id="held")
                before = pool.submit(_closing, lambda: call("held"))
                _wait_until(_somebody_waits_for_a_lock)
                first = pool.submit(_closing, lambda: call("first"))
                _wait_until(lambda: _has_come("first"))
                others = [pool.submit(_closing, partial(call, name)) for name in "abcdefgh"]
                _wait_until(lambda: registration._group_commit.waiting in {0, 9})
            for other in [before, *others]:
                other.result(timeout=_PATIENCE_S)
            assert not first.done()
        finally:
            os.kill(sessions[0], signal.SIGCONT)

    assert DeviceRegistration.objects.filter(state="active").count() == 10
    assert Subscription.objects.count() == 10


@contextlib.contextmanager
def _changing_subscription_of(first: str, then: str) -> Iterator[None]:
    """What whoever changes many devices at once does: holds what one listens to, then, at the end, wants another's."""
    with transaction.atomic():
        Subscription.objects.select_for_update().get(registration__device_id=first)
        yield
        Subscription.objects.select_for_update().filter(registration__device_id=then).first()


@pytest.mark.parametrize(("first", "then"), [("a", "b"), ("b", "a")])
def test_deleting_a_channel_waits_in_no_circle_with_who_changes_its_devices(first: str, then: str) -> None:
    application = make_application()
    for device_id in ("a", "b"):
        register(application, _request(device_id, "news"))

    with ThreadPoolExecutor(1) as pool:
        with _changing_subscription_of(first, then):
            deletion = pool.submit(_closing, lambda: delete_channel(application, "news"))
            _wait_until(_somebody_waits_for_a_lock)
            began_at = time.monotonic()
        assert time.monotonic() - began_at < 0.9  # PostgreSQL looks for circles after a second
        deletion.result(timeout=_PATIENCE_S)

    assert not Channel.objects.exists()


def test_the_admin_deletes_a_device_that_is_registering_and_waits_in_no_circle() -> None:
    application = make_application()
    register(application, _request("a", "news"))
    device = DeviceRegistration.objects.get()
    devices_admin = DeviceRegistrationAdmin(DeviceRegistration, site)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            DeviceRegistration.objects.select_for_update().get()
            deletion = pool.submit(_closing, lambda: devices_admin.delete_model(RequestFactory().post("/"), device))
            _wait_until(_somebody_waits_for_a_lock)
            register(application, _request("a", "sport"))  # takes away what the deletion must not hold yet
        deletion.result(timeout=_PATIENCE_S)

    assert not DeviceRegistration.objects.exists()
