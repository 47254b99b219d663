"""Segment queries: a where clause over registrations, channels and attributes, and nothing that is missing matches."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from devices import audience
from devices.audience import AudienceSpec
from devices.errors import InvalidSegmentQuery
from devices.models import Application, DeviceRegistration
from devices.push_services import Os, PushService
from devices.segment_lookups import KeptLookups
from devices.segment_query import check, to_sql
from devices.segment_scope import NOWHERE, Scope
from devices.user_models import AppUser
from tests.factories import make_application, make_registration

pytestmark = pytest.mark.django_db

ANN = {"name": "Ann", "age": 30, "vip": True, "shop": {"city": "Berlin"}, "rank": "7"}
BOB = {"name": "Bob", "age": 18, "vip": False, "shop": {"city": "Bern"}, "rank": 12, "note": None}


@pytest.fixture
def application() -> Application:
    """Devices ann (iOS, channels default and news), bob (Android) and one without attributes."""
    application = make_application()
    make(application, "ann", "IOS", ("default", "news"), attributes=ANN, os_version="14.2", user_id="u1", locale="de")
    make(application, "bob", "ANDROID", ("default",), attributes=BOB, os_version="9", user_id="u2", locale="en")
    make(application, "plain", "ANDROID", ("other",))
    return application


def make(application: Application, device_id: str, os: str, channels: tuple[str, ...], **values: Any) -> None:
    device = make_registration(application, os, channels, device_id=device_id)
    DeviceRegistration.objects.filter(pk=device.pk).update(**values)


def matching(application: Application, query: str) -> set[str]:
    scope = Scope(application_pk=application.pk, lookups=KeptLookups(application.pk))
    sql = to_sql(query, scope)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.device_id FROM devices_deviceregistration r {sql.joins} "
            f"WHERE r.application_id = %s AND {sql.text}",
            [application.pk, *sql.params],
        )
        return {row[0] for row in cursor.fetchall()}


@pytest.mark.parametrize(
    ("query", "devices"),
    [
        ("deviceId = 'ann'", {"ann"}),
        ("'ann' = deviceId", {"ann"}),
        ("deviceId IN ('ann', 'bob', 'x')", {"ann", "bob"}),
        ("deviceId LIKE '_o%'", {"bob"}),
        ("deviceId LIKE '%!_%' ESCAPE '!'", set()),
        ("operatingSystemName = 'android'", {"bob", "plain"}),
        ("operatingSystemName <> 'IOS'", {"bob", "plain"}),
        ("operatingSystemVersion > 9", {"ann"}),
        ("operatingSystemVersion >= '9'", {"ann", "bob"}),
        ("userId IS NULL", {"plain"}),
        ("userId IS NOT NULL AND locale = 'de'", {"ann"}),
        ("NOT locale = 'de'", {"bob"}),
        ("channelName = 'news'", {"ann"}),
        ("channelName <> 'news'", {"bob", "plain"}),
        ("channelName = 'Default' AND NOT channelName = 'news'", {"bob"}),
        ("channelName LIKE 'ne%' OR channelName = 'other'", {"ann", "plain"}),
        ("created > 1000 AND updated >= '2020-01-01T00:00:00Z'", {"ann", "bob", "plain"}),
        ("expiration IS NULL", {"ann", "bob", "plain"}),
        ("expiration < 4102444800000", set()),
        ("objectId = 'no uuid'", set()),
        ("name = 'Ann'", {"ann"}),
        ("name <> 'Ann'", {"bob"}),
        ("age = 30", {"ann"}),
        ("age = '30'", {"ann"}),
        ("age > 18", {"ann"}),
        ("NOT age > 18", {"bob"}),
        ("age BETWEEN 18 AND 20", {"bob"}),
        ("age NOT BETWEEN 18 AND 20", {"ann"}),
        ("rank > 8", {"bob"}),
        ("rank = 7", {"ann"}),
        ("name > 1", set()),
        ("name > 'Ann'", {"bob"}),
        ("vip = TRUE", {"ann"}),
        ("vip <> TRUE", {"bob"}),
        ("shop.city = 'Berlin'", {"ann"}),
        ("shop.city LIKE 'Ber%'", {"ann", "bob"}),
        ("shop.city IN ('Bern', 'Rome')", {"bob"}),
        ("note IS NULL", {"ann", "bob", "plain"}),
        ("NOT (name = 'Ann' OR age = 18)", set()),
        ("NOT (name = 'Ann' AND age = 18)", {"ann", "bob"}),
        ("nothing = 1 OR NOT nothing = 1", set()),
        ("name = 'x'') OR (''1''=''1'", set()),
    ],
)
def test_query_finds_these_devices(application: Application, query: str, devices: set[str]) -> None:
    assert matching(application, query) == devices


@pytest.mark.parametrize(
    ("query", "devices"),
    [
        ("user.email = 'ann@shop.example'", {"ann"}),
        ("Users.email = 'ann@shop.example'", {"ann"}),
        ("user.email <> 'ann@shop.example'", {"bob"}),
        ("NOT user.name = 'Ann'", {"bob"}),
        ("user.name LIKE 'A%' OR deviceId = 'plain'", {"ann", "plain"}),
        ("user.age > 29", {"ann"}),
        ("user.age BETWEEN 17 AND 18", {"bob"}),
        ("user.shop.city IN ('Berlin')", {"ann"}),
        ("user.vip IS NULL", {"bob", "plain"}),
        ("user.vip IS NOT NULL", {"ann"}),
        ("NOT user.vip IS NULL", {"ann"}),
        ("user.objectId = 'u2'", {"bob"}),
        ("user.lastLogin IS NULL", {"ann", "bob", "plain"}),
        ("user.created > 1000", {"ann", "bob"}),
        ("user.password IS NOT NULL", set()),
    ],
)
def test_columns_of_the_devices_user_are_asked_for_by_relation(
    application: Application, query: str, devices: set[str]
) -> None:
    ann = {"age": 30, "vip": True, "shop": {"city": "Berlin"}}
    account = {"application": application, "password": "hash"}
    AppUser.objects.create(**account, object_id="u1", email="ann@shop.example", name="Ann", properties=ann)
    AppUser.objects.create(**account, object_id="u2", email="bob@shop.example", name="Bob", properties={"age": 18})

    assert matching(application, query) == devices


def test_user_who_is_disabled_or_of_another_application_is_nobody(application: Application) -> None:
    AppUser.objects.create(application=application, object_id="u1", name="Ann", is_disabled=True)
    AppUser.objects.create(application=make_application(), object_id="u2", name="Bob")

    assert matching(application, "user.name IN ('Ann', 'Bob')") == set()


def test_object_id_in_either_letter_case_finds_the_device(application: Application) -> None:
    wire_id = DeviceRegistration.objects.get(device_id="ann").registration_id

    assert matching(application, f"objectId = '{str(wire_id).upper()}'") == {"ann"}
    assert matching(application, f"objectId <> '{wire_id}'") == {"bob", "plain"}


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("deviceId =", "character 11"),
        ("deviceId = 'a' AND", "character 19"),
        ("deviceId = userId", "character 12"),
        ("1 = 1", "character 5"),
        ("expiration > 'soon'", "character 14"),
        ("channelName > 'a'", "character 15"),
        ("vip > TRUE", "character 7"),
        ("a.b.c.d.e.f.g.h.i = 1", "character 1"),
    ],
)
def test_error_names_the_place(query: str, place: str) -> None:
    with pytest.raises(InvalidSegmentQuery, match=place):
        check(query)


def spec(application: Application, query: str, **values: Any) -> AudienceSpec:
    channel = application.channels.get(name="default")
    return AudienceSpec(
        **{
            "application_pk": application.pk,
            "channel_pk": channel.pk,
            "oses": tuple(Os),
            "segment_query": query,
            **values,
        }
    )


def test_count_combines_channel_system_and_segment(application: Application) -> None:
    assert [(entry.os, entry.devices) for entry in audience.count(spec(application, "age > 0"))] == [
        (Os.ANDROID, 1),
        (Os.IOS, 1),
    ]
    assert [entry.os for entry in audience.count(spec(application, "age > 0", oses=(Os.IOS,)))] == [Os.IOS]


def test_pages_give_exactly_what_was_counted(application: Application) -> None:
    wanted = spec(application, "age > 18")
    below = DeviceRegistration.objects.earliest("pk").pk - 1  # ids go on from test to test, beyond one range

    page = audience.next_page(wanted, above=below, bound=audience.highest_id(), limit=10)

    (device,) = DeviceRegistration.objects.filter(device_id="ann")
    assert (page.ids, page.is_last) == ({PushService.APNS: [device.pk]}, True)


def test_page_of_a_segment_ends_where_it_has_enough(application: Application) -> None:
    wanted = spec(application, "age > 0")
    below = DeviceRegistration.objects.earliest("pk").pk - 1
    bound = audience.highest_id() + audience.SEGMENT_RANGE

    page = audience.next_page(wanted, above=below, bound=bound, limit=2)

    through = below + audience.SEGMENT_RANGE
    assert (sum(map(len, page.ids.values())), page.through, page.is_last) == (2, through, False)


def test_ids_without_devices_of_a_segment_are_passed_over_a_thousand_million_in_a_few_steps(
    application: Application,
) -> None:
    wanted, above, steps = spec(application, "deviceId = 'nobody'"), 0, 0

    while above < 10**9:
        page = audience.next_page(wanted, above=above, bound=10**9, limit=10)
        above, steps = page.through, steps + 1

    assert page.is_last and not page.ids and steps < 1_000


def test_named_devices_are_narrowed_by_the_segment_too(application: Application) -> None:
    wanted = spec(application, "age > 18", channel_pk=None, oses=None, device_ids=("ann", "bob"))

    page = audience.next_page(wanted, above=0, bound=audience.highest_id(), limit=10)

    assert list(page.ids) == [PushService.APNS]


def test_index_on_attributes_serves_equality(application: Application) -> None:
    sql = to_sql("shop.city = 'Berlin'", NOWHERE)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN SELECT 1 FROM devices_deviceregistration r WHERE {sql.text}", list(sql.params))
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "registration_attributes" in plan
