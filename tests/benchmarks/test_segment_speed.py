"""Segments of 1,000,000 devices: the first page planned, the whole planned, counted, counted while somebody types."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest
from django.db import connection

from devices import audience
from devices.audience import AudienceSpec
from devices.channels import ensure_channels
from devices.models import Application
from devices.push_services import Os, PushService
from messaging.fanout import PAGE_SIZE
from tests.benchmarks.clarion_processes import postgres_tree
from tests.benchmarks.populations import MOST_DEVICES, populate
from tests.benchmarks.report import Report

_Result = TypeVar("_Result")

pytestmark = [pytest.mark.benchmark, pytest.mark.django_db(transaction=True)]

_TITLE = f"Segments of {MOST_DEVICES:,} devices and {MOST_DEVICES * 3 // 10:,} users"
_NOTE = """First page: what a drain plans before it sends. Planned: page after page to the end, without writing
batches; CPU of PostgreSQL for that. Counted: every device. Typing: as the composer asks, estimated where an exact count
takes longer than 150 ms. 70 % of the devices have attributes, 43 % belong to a user, 40 % listen to `news`."""

_USERS = """
INSERT INTO devices_appuser (object_id, application_id, login, password, email, name, properties, is_disabled,
                             created_at, updated_at)
SELECT 'U' || n, %(application)s, 'user' || n, 'x', 'user' || n || '@shop.example', '',
       jsonb_build_object('age', 18 + n * 7919 %% 60, 'tier', (ARRAY['basic', 'plus', 'pro'])[1 + n %% 3]),
       false, now(), now()
FROM generate_series(1, %(users)s::bigint) n
"""
_FACTS = """
UPDATE devices_deviceregistration SET
    os_version = (ARRAY['9', '11.2', '13', '14.2', '16', '17.4', '18'])[1 + id %% 7],
    user_id = CASE WHEN id %% 7 < 3 THEN 'U' || 1 + id * 13 %% %(users)s ELSE '' END,
    attributes = CASE WHEN id %% 10 > 2 THEN jsonb_build_object(
        'age', id * 7919 %% 80, 'plan', (ARRAY['free', 'free', 'free', 'silver', 'gold'])[1 + id %% 11 %% 5],
        'customer', 'K' || id / 71, 'shop', jsonb_build_object('orders', id * 11 %% 1000)) ELSE '{}' END
"""
_SUBSCRIBE = """
INSERT INTO devices_subscription (channel_id, registration_id, os, push_service, is_active)
SELECT %s, id, os, push_service, true FROM devices_deviceregistration WHERE id %% %s < %s ORDER BY id
"""

_QUERIES = [
    "deviceId = 'everybody-777'",
    "customer = 'K2000'",
    "userId = 'U777'",
    "user.email = 'user777@shop.example'",
    "channelName = 'few'",
    "nothing = 1",
    "channelName = 'everybody'",
    "channelName = 'news'",
    "channelName <> 'news'",
    "channelName LIKE 'n%'",
    "channelName IS NULL",
    "channelName = 'few' OR customer = 'K2000'",
    "user.email = 'user777@shop.example' OR deviceId = 'everybody-777'",
    "plan = 'nobody' OR channelName = 'nobody' OR user.tier = 'nobody'",
    "operatingSystemName = 'ANDROID'",
    "operatingSystemName = 'IOS' AND plan = 'gold'",
    "NOT plan = 'free'",
    "plan IN ('gold', 'silver')",
    "age > 18",
    "shop.orders BETWEEN 10 AND 20",
    "plan LIKE 'g%'",
    "plan IS NULL",
    "operatingSystemVersion >= 14",
    "created > '2020-01-01T00:00:00Z'",
    "user.tier = 'pro'",
    "user.age > 60",
    "user.email LIKE '%9@shop.example'",
    "user.email IS NULL",
    "user.email IS NULL OR user.age > 60",
    "plan = 'gold' OR channelName = 'news'",
    "NOT (plan = 'gold' OR channelName = 'news')",
    "user.tier = 'pro' OR operatingSystemName = 'IOS'",
    "user.tier = 'pro' OR channelName = 'news'",
    "user.email = 'user777@shop.example' OR plan = 'gold'",
    "NOT (user.email = 'user777@shop.example' OR deviceId = 'everybody-777')",
    "channelName = 'news' AND (plan = 'gold' OR age > 60) AND NOT user.tier = 'basic'",
    "NOT (NOT (channelName = 'news' OR user.age > 60) AND NOT (plan LIKE 'g%' OR user.email IS NULL))",
]


@pytest.fixture
def everybody(transactional_db: None) -> AudienceSpec:
    """All devices of a channel."""
    application = Application.objects.create(name="Benchmark")
    channel = populate(application, "everybody", (PushService.APNS, PushService.FCM), devices=MOST_DEVICES)
    news, few = ensure_channels(application, ["news", "few"])
    users = max(1_000, MOST_DEVICES * 3 // 10)
    with connection.cursor() as cursor:
        cursor.execute(_USERS, {"application": application.pk, "users": users})
        cursor.execute(_FACTS, {"users": users})
        cursor.execute(_SUBSCRIBE, [news.pk, 5, 2])
        cursor.execute(_SUBSCRIBE, [few.pk, MOST_DEVICES // 50, 1])
        # an update of every row leaves a table twice as large, as no table of devices is that was filled by registering
        cursor.execute("VACUUM FULL ANALYZE devices_deviceregistration")
        cursor.execute("VACUUM ANALYZE devices_subscription, devices_appuser")
        cursor.execute("CHECKPOINT")
    return AudienceSpec(application_pk=application.pk, channel_pk=channel.pk, oses=tuple(Os))


def test_segments(everybody: AudienceSpec, report: Report) -> None:
    report.describe_database()
    for query in ["", *_QUERIES]:
        report.add(_TITLE, _figures(replace(everybody, segment_query=query)), note=_NOTE)


def _figures(spec: AudienceSpec) -> dict[str, str]:
    _plan(spec)  # statistics and pages are in memory afterwards
    first_ms, _ = _timed(lambda: _first_devices(spec))
    cpu_before = postgres_tree().cpu_seconds()
    planned_ms, devices = _timed(lambda: _plan(spec))
    cpu_s = postgres_tree().cpu_seconds() - cpu_before
    counted_ms, counted = _timed(lambda: sum(found.devices for found in audience.count(spec)))
    typed_ms, quick = _timed(lambda: audience.count_quickly(spec))
    assert devices == counted
    return {
        "segment": f"`{spec.segment_query}`" if spec.segment_query else "none: the whole channel",
        "devices": f"{devices:,}",
        "first page": f"{first_ms:.0f} ms",
        "planned": f"{planned_ms:.0f} ms",
        "CPU": f"{1000 * cpu_s:.0f} ms",
        "counted": f"{counted_ms:.0f} ms",
        "typing": f"{typed_ms:.0f} ms{'' if quick.is_exact else ', estimated'}",
    }


def _first_devices(spec: AudienceSpec) -> int:
    """Pages until one has devices."""
    return _plan(spec, is_enough=bool)


def _plan(spec: AudienceSpec, is_enough: Callable[[int], bool] = lambda devices: False) -> int:
    above, devices, bound = 0, 0, audience.highest_id()
    while not is_enough(devices):
        page = audience.next_page(spec, above=above, bound=bound, limit=PAGE_SIZE)
        devices += sum(map(len, page.ids.values()))
        above = page.through
        if page.is_last:
            break
    return devices


def _timed(work: Callable[[], _Result]) -> tuple[float, _Result]:
    began = time.perf_counter()
    result = work()
    return 1000 * (time.perf_counter() - began), result
