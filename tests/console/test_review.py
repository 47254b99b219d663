"""The review of a campaign whose devices take long to count: an estimate at once, the exact number after it."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from devices.models import Application
from devices.push_services import PushService
from messaging.models import Lane, LaneState, Message, ProviderCredential
from tests.console.rows import address, compose_values
from tests.console.test_compose import reviewed
from tests.factories import make_registration

_DEVICES = 60
#: none of these words is in the 100 KB of text each device has, so all of them are looked for: 5 ms and more a device
_SLOW = " OR ".join([*(f"note LIKE '%word{number}%'" for number in range(60)), "note LIKE 'begin%'"])


@pytest.fixture
def slow(application: Application) -> dict[str, Any]:
    """Form values for a segment of 60 devices that nobody would want to wait for."""
    for _ in range(_DEVICES):
        make_registration(application)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE devices_deviceregistration"
            " SET attributes = jsonb_build_object('note', 'begin' || repeat('x', 100000))"
            " WHERE id > (SELECT max(id) - %s FROM devices_deviceregistration)",
            [_DEVICES],
        )
    return {"segment": "own", "segment_query": _SLOW}


def carried(html: str) -> str:
    """What the page says it was about."""
    found = re.search(r'name="reviewed" value="([^"]+)"', html)
    assert found, html
    return found[1]


def test_a_review_does_not_wait_for_a_count_that_takes_long(
    page: Client, application: Application, slow: dict[str, Any]
) -> None:
    began = time.monotonic()
    html = page.post(address(application, "compose/"), compose_values(**slow)).content.decode()
    took = time.monotonic() - began

    assert re.search(r"Send to about \d+ devices", html)
    assert "Every device is being counted" in html
    assert f'hx-post="{address(application, "compose/count/")}" hx-trigger="load"' in html
    assert took < 30  # a net for a hang


def test_the_exact_number_is_filled_in_and_is_what_is_confirmed(
    page: Client, application: Application, slow: dict[str, Any]
) -> None:
    values = reviewed(page, application, **slow)

    html = page.post(address(application, "compose/count/"), values).content.decode()

    assert "counted just now" in html
    assert f"Send to {_DEVICES} devices" in html
    page.post(address(application, "compose/send/"), {**values, "reviewed": carried(html)})
    assert Message.objects.count() == 1


def test_what_was_estimated_can_be_sent_without_waiting(
    page: Client, application: Application, slow: dict[str, Any]
) -> None:
    page.post(address(application, "compose/send/"), reviewed(page, application, **slow))

    assert Message.objects.count() == 1


def test_a_segment_that_lost_most_of_its_devices_is_asked_again_though_only_estimated(
    page: Client, application: Application, slow: dict[str, Any]
) -> None:
    values = reviewed(page, application, **slow)
    application.registrations.filter(pk__gt=application.registrations.order_by("-pk")[40].pk).update(state="gone")

    html = page.post(address(application, "compose/send/"), values).content.decode()

    assert re.search(r"changed from \d+ to (about )?\d+ devices", html)
    assert not Message.objects.exists()


def test_a_review_that_is_no_longer_valid_counts_nothing(page: Client, application: Application) -> None:
    answer = page.post(address(application, "compose/count/"), {**compose_values(), "reviewed": "forged"})

    assert answer.status_code == 204


def test_a_push_service_that_is_paused_is_named_with_the_devices_it_holds_up(
    page: Client, application: Application
) -> None:
    for service in (PushService.FCM, PushService.APNS):
        ProviderCredential.objects.create(application=application, push_service=service, secret=b"")
    Lane.objects.create(
        application=application, push_service=PushService.FCM, state=LaneState.PAUSED, paused_because="Key revoked."
    )

    for path in ("compose/", "compose/preview/"):
        html = page.post(address(application, path), compose_values()).content.decode()

        assert "FCM is paused: Key revoked. 3 devices would have to wait." in html
        assert "APNs has" not in html
    assert "FCM is paused</strong>" in page.get(address(application)).content.decode()


def test_a_push_service_without_credential_is_named_only_where_it_is_needed(
    page: Client, application: Application
) -> None:
    android = page.post(address(application, "compose/preview/"), compose_values(oses=["ANDROID"])).content.decode()

    assert "FCM has no credential. 3 devices would have to wait." in android
    assert "APNs has" not in android
    assert "FCM has" not in page.get(address(application, "compose/")).content.decode()
