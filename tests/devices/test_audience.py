"""Counting an audience: exactly, whatever became of its devices, and estimated where somebody cannot wait."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from devices import audience
from devices.audience import AudienceSpec, count, count_quickly
from devices.channels import delete_channel, ensure_channels
from devices.models import Application, DeviceRegistration, Subscription
from devices.push_services import Os, PushService
from devices.registration import DeviceFacts, GoneToken, RegistrationRequest, disable_gone, register, unregister
from tests.factories import make_application, make_registration

pytestmark = pytest.mark.django_db


@pytest.fixture
def application() -> Application:
    """Two Androids and an iPhone, all in "default" and in "news"."""
    application = make_application()
    for name, os in (("a", "ANDROID"), ("b", "ANDROID"), ("c", "IOS")):
        make_registration(application, os, ("default", "news"), device_id=name, token=f"{ord(name):064x}")
    return application


def spec(
    application: Application, channel: str = "news", oses: tuple[Os, ...] = tuple(Os), query: str = ""
) -> AudienceSpec:
    (found,) = ensure_channels(application, [channel])
    return AudienceSpec(application_pk=application.pk, channel_pk=found.pk, oses=oses, segment_query=query)


def counted(application: Application, channel: str = "news") -> dict[str, int]:
    return {f"{entry.os}": entry.devices for entry in count(spec(application, channel))}


def again(
    application: Application,
    os: Os = Os.ANDROID,
    channels: tuple[str, ...] = ("default", "news"),
    expiration: datetime | None = None,
) -> None:
    service = PushService.FCM if os is Os.ANDROID else PushService.APNS
    register(
        application,
        RegistrationRequest(
            device_id="a",
            token=f"{ord('a'):064x}",
            os=os,
            push_service=service,
            channel_names=channels,
            expiration=expiration,
        ),
    )


def died(application: Application) -> None:
    device = DeviceRegistration.objects.get(device_id="a")
    disable_gone([GoneToken(device.pk, device.token, "UNREGISTERED", None)])


def died_and_came_back(application: Application) -> None:
    died(application)
    again(application)


def lost_its_token(application: Application) -> None:
    make_registration(application, "ANDROID", ("default",), device_id="d", token=f"{ord('a'):064x}")


def will_expire(application: Application) -> None:
    again(application, expiration=datetime.now(UTC) + timedelta(days=1))


def has_expired(application: Application) -> None:
    will_expire(application)
    DeviceRegistration.objects.filter(device_id="a").update(expiration=datetime.now(UTC) - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("event", "left"),
    [
        (lambda application: None, {"ANDROID": 2, "IOS": 1}),
        (died, {"ANDROID": 1, "IOS": 1}),
        (died_and_came_back, {"ANDROID": 2, "IOS": 1}),
        (lost_its_token, {"ANDROID": 1, "IOS": 1}),
        (will_expire, {"ANDROID": 2, "IOS": 1}),
        (has_expired, {"ANDROID": 1, "IOS": 1}),
        (lambda application: unregister(application, "a"), {"ANDROID": 1, "IOS": 1}),
        (lambda application: again(application, channels=("default",)), {"ANDROID": 1, "IOS": 1}),
        (lambda application: again(application, Os.IOS), {"ANDROID": 1, "IOS": 2}),
        (lambda application: delete_channel(application, "news"), {}),
        (lambda application: DeviceRegistration.objects.filter(device_id="a").delete(), {"ANDROID": 1, "IOS": 1}),
    ],
)
def test_the_count_follows_whatever_becomes_of_a_device(
    application: Application, event: Callable[[Application], object], left: dict[str, int]
) -> None:
    event(application)

    assert counted(application) == left


def test_subscriptions_made_without_the_register_function_count_too(application: Application) -> None:
    (channel,) = ensure_channels(application, ["late"])
    devices = DeviceRegistration.objects.all()
    Subscription.objects.bulk_create([Subscription(channel=channel, registration=device) for device in devices])

    assert counted(application, "late") == {"ANDROID": 2, "IOS": 1}


def test_only_the_operating_systems_asked_for_are_counted(application: Application) -> None:
    assert [entry.devices for entry in count(spec(application, oses=(Os.IOS, Os.WEB)))] == [1]


def test_counting_a_channel_reads_no_registration(application: Application) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute(
            "EXPLAIN SELECT os, push_service, count(*) FROM devices_subscription "
            "WHERE channel_id = 1 AND is_active AND (expiration IS NULL OR expiration > now()) GROUP BY 1, 2"
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "Index Only Scan using subscription_reach" in plan


def test_a_quick_count_is_exact_where_that_is_quick(application: Application) -> None:
    quick = count_quickly(spec(application))

    assert (quick.is_exact, sum(entry.devices for entry in quick.counts)) == (True, 3)


def test_a_count_that_takes_too_long_gives_way_to_an_estimate_that_says_so() -> None:
    application = make_application()
    device = make_registration(application, channels=("news",))
    register(application, _as_it_is(device), DeviceFacts(attributes={"age": 30}))
    _multiply(device, 40_000)
    wide = spec(application, query="age > 18")

    quick = count_quickly(wide, patience_ms=1)

    assert not quick.is_exact
    (found,) = quick.counts
    assert found.devices == pytest.approx(40_001, rel=0.05)
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_an_estimate_is_rounded_to_what_it_knows() -> None:
    assert [audience.rounded(devices) for devices in (0, 7, 96.4, 812_345.6)] == [0, 7, 96, 810_000]


def _as_it_is(device: DeviceRegistration) -> RegistrationRequest:
    return RegistrationRequest(
        device_id=device.device_id,
        token=device.token,
        os=Os(device.os),
        push_service=PushService(device.push_service),
        channel_names=("news",),
    )


def _multiply(device: DeviceRegistration, times: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO devices_deviceregistration (registration_id, application_id, device_id, token, token_digest, "
            "os, os_version, push_service, user_id, locale, time_zone, attributes, state, gone_reason) "
            "SELECT gen_random_uuid(), application_id, device_id || n, token || n, sha256((token || n)::bytea), "
            "os, os_version, push_service, user_id, locale, time_zone, attributes, state, gone_reason "
            "FROM devices_deviceregistration, generate_series(1, %s) n WHERE id = %s",
            [times, device.pk],
        )
        cursor.execute(
            "INSERT INTO devices_subscription (channel_id, registration_id) SELECT channel_id, r.id "
            "FROM devices_subscription s, devices_deviceregistration r WHERE s.registration_id = %s AND r.id <> %s",
            [device.pk, device.pk],
        )
        # Or the plans that check foreign keys at the end of the test stay those of empty tables, and take minutes
        cursor.execute("ANALYZE devices_deviceregistration")


def test_a_page_of_a_segment_leaves_out_ids_at_which_nobody_listens(
    django_assert_max_num_queries: Callable[[int], AbstractContextManager[object]],
) -> None:
    application = make_application()
    near, far = make_registration(application), make_registration(application)
    (channel,) = ensure_channels(application, ["default"])
    with connection.cursor() as cursor:  # a device that registered after a billion of other applications
        Subscription.objects.filter(registration=far).delete()
        cursor.execute("UPDATE devices_deviceregistration SET id = id + 1000000000 WHERE id = %s", [far.pk])
    far = DeviceRegistration.objects.get(device_id=far.device_id)
    Subscription.objects.create(registration=far, channel=channel)
    spec = AudienceSpec(
        application_pk=application.pk, channel_pk=channel.pk, oses=tuple(Os), segment_query="operatingSystemName <> 'X'"
    )

    with django_assert_max_num_queries(5):
        page = audience.next_page(spec, above=0, bound=far.pk, limit=1_000)

    assert (page.ids[PushService.FCM], page.is_last) == ([near.pk, far.pk], True)
