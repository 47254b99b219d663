"""Registrations beside whoever else writes the same rows, each held at the very moment that hurts."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from devices.channels import delete_channel, ensure_channels
from devices.models import Channel, Subscription
from devices.push_services import Os, PushService
from devices.registration import RegistrationRequest, register
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


def _wait_until_somebody_waits_for_a_lock() -> None:
    give_up_at = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up_at:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone() != (0,):
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits for a lock")


def test_a_channel_can_be_deleted_while_a_device_is_registering_with_it() -> None:
    application = make_application()
    ensure_channels(application, ["news"])

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            register(application, _request("a", "news"))
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # as far as a commit comes before it is seen
            deletion = pool.submit(_closing, lambda: delete_channel(application, "news"))
            _wait_until_somebody_waits_for_a_lock()
        deletion.result(timeout=_PATIENCE_S)

    assert not Channel.objects.exists()
    assert not Subscription.objects.exists()
