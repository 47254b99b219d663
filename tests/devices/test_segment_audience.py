"""Audiences of segments over several ranges of ids, of channels and users too many to be named by their ids.

Pages and counts find the devices that the evaluator of `segment_meaning`, written apart from the SQL, finds.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from django.db import connection

from devices import audience
from devices.audience import SEGMENT_RANGE, AudienceSpec
from devices.channels import ensure_channels
from devices.models import Application
from devices.push_services import Os
from devices.segment_lookups import FEW
from devices.user_models import AppUser
from tests.devices.segment_meaning import Device, Tree, holds, written
from tests.factories import make_application

pytestmark = pytest.mark.django_db

_DEVICES, _USERS = 5 * FEW, 2 * FEW
#: ids lie so far apart that the devices fill more than three ranges
_APART = 4 * SEGMENT_RANGE // _DEVICES
_COPY = (
    "COPY devices_deviceregistration (id, registration_id, application_id, device_id, token, token_digest, os, "
    "os_version, push_service, user_id, locale, time_zone, attributes, state, gone_reason) FROM STDIN"
)

GOLD = ("compare", "plan", "=", "gold")
NEWS = ("compare", "channelName", "=", "news")
FEW_LISTEN = ("compare", "channelName", "=", "few")
PRO = ("compare", "user.tier", "=", "pro")
NO_EMAIL = ("null", "user.email", False)
ONE_USER = ("compare", "user.email", "=", "u7@shop.example")
IOS = ("compare", "operatingSystemName", "=", "IOS")

TREES: list[Tree] = [
    GOLD,
    NEWS,
    PRO,
    NO_EMAIL,
    ONE_USER,
    ("compare", "deviceId", "=", f"d{_DEVICES - 1}"),
    ("compare", "nothing", "=", 1),
    ("or", [GOLD, NEWS]),
    ("or", [PRO, IOS]),
    ("or", [PRO, NEWS]),
    ("or", [NO_EMAIL, GOLD]),
    ("or", [FEW_LISTEN, ONE_USER]),
    ("or", [ONE_USER, NO_EMAIL, ("null", "channelName", False)]),
    ("or", [("like", "channelName", "n%", None, True), ("compare", "user.age", ">", 40)]),
    ("not", ("or", [GOLD, NEWS])),
    ("not", ("or", [ONE_USER, FEW_LISTEN])),
    ("not", ("and", [NEWS, ("not", NO_EMAIL)])),
    ("not", ("and", [("not", ("or", [NEWS, PRO])), ("not", ("or", [GOLD, ("not", FEW_LISTEN)]))])),
    ("and", [NEWS, ("or", [GOLD, ONE_USER]), ("not", PRO)]),
    ("or", [FEW_LISTEN, ("and", [PRO, ("or", [GOLD, ("and", [NEWS, ("not", ONE_USER)])])])]),
]


@pytest.fixture
def devices() -> list[dict[str, Any]]:
    """What the devices of the only application are; all listen to `everybody`, 40 % to `news`, three to `few`."""
    application = make_application()
    first = audience.highest_id() + 1
    made = [_device(n) for n in range(_DEVICES)]
    users = [_user(n) | {"application": application, "password": "hash"} for n in range(_USERS)]
    AppUser.objects.bulk_create(AppUser(object_id=f"u{n}", **user) for n, user in enumerate(users))
    with connection.cursor() as cursor:
        with cursor.copy(_COPY) as copy:
            for n, device in enumerate(made):
                copy.write_row(_row(application, first + n * _APART, n, device))
        for channel in ensure_channels(application, ["everybody", "news", "few"]):
            listening = [first + n * _APART for n, device in enumerate(made) if channel.name in device["channels"]]
            cursor.execute(
                "INSERT INTO devices_subscription (channel_id, registration_id, os, push_service, is_active) "
                "SELECT %s, id, os, push_service, true FROM devices_deviceregistration WHERE id = ANY(%s)",
                [channel.pk, listening],
            )
        # as autovacuum would; what the planner knows of these tables else depends on the tests before
        cursor.execute("ANALYZE devices_deviceregistration, devices_subscription, devices_appuser")
    return made


def _device(n: int) -> dict[str, Any]:
    number = n * 13 % (_USERS + 50)
    channels = ["everybody", *(["news"] if n % 5 < 2 else []), *(["few"] if n in (3, 77, 4_000) else [])]
    return {
        "deviceId": f"d{n}",
        "operatingSystemName": ("IOS", "ANDROID")[n % 2],
        "userId": f"u{number}" if n % 7 < 3 else "",
        "attributes": {"plan": ("free", "gold", "silver")[n % 3], "age": n % 80} if n % 10 > 2 else {},
        "channels": channels,
        "user": _user(number) if n % 7 < 3 and number < _USERS else None,
    }


def _user(n: int) -> dict[str, Any]:
    email = f"u{n}@shop.example" if n % 4 else ""
    return {
        "login": f"u{n}",
        "email": email,
        "name": "",
        "properties": {"age": n % 60, "tier": ("basic", "pro")[n % 2]},
    }


def _row(application: Application, pk: int, n: int, device: Device) -> list[Any]:
    os = device["operatingSystemName"]
    service = {"IOS": "apns", "ANDROID": "fcm"}[os]
    attributes = json.dumps(device["attributes"])
    unique = [f"{n:032x}", application.pk, device["deviceId"], f"token{n}", n.to_bytes(32, "big")]
    return [pk, *unique, os, "18", service, device["userId"], "", "", attributes, "active", ""]


def _spec(query: str) -> AudienceSpec:
    application = Application.objects.get()
    channel = application.channels.get(name="everybody")
    return AudienceSpec(application_pk=application.pk, channel_pk=channel.pk, oses=tuple(Os), segment_query=query)


def _paged(spec: AudienceSpec) -> list[int]:
    above, bound, ids, is_last = 0, audience.highest_id() + SEGMENT_RANGE, list[int](), False
    while not is_last:
        page = audience.next_page(spec, above=above, bound=bound, limit=500)
        ids += [pk for found in page.ids.values() for pk in found]
        above, is_last = page.through, page.is_last
    return ids


def _device_ids(pks: list[int]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT device_id FROM devices_deviceregistration WHERE id = ANY(%s)", [pks])
        return [row[0] for row in cursor.fetchall()]


def test_pages_and_counts_find_whom_the_query_means(devices: list[dict[str, Any]]) -> None:
    for tree in TREES:
        spec = _spec(written(tree, Random(1)))
        meant = {device["deviceId"] for device in devices if holds(tree, device)}

        pks = _paged(spec)
        counted = sum(found.devices for found in audience.count(spec))

        assert set(_device_ids(pks)) == meant, spec.segment_query
        assert len(pks) == len(meant) == counted, spec.segment_query
