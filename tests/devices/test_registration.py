"""Registrations under moves, dead tokens, expiry and parallel calls (reliability.md 4D)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction

from devices import registration
from devices.channels import ensure_channels
from devices.errors import InvalidChannelName, UnknownDeviceToCancel
from devices.jobs import expire_registrations
from devices.models import Application, Channel, DeviceRegistration, Subscription
from devices.push_services import Os, PushService
from devices.registration import GoneToken, Registered, RegistrationRequest, disable_gone, register
from tests.factories import make_application, make_registration


def _request(device_id: str, token: str, *channels: str) -> RegistrationRequest:
    return RegistrationRequest(
        device_id=device_id,
        token=token,
        os=Os.ANDROID,
        push_service=PushService.FCM,
        channel_names=channels or ("default",),
    )


def _in_parallel(calls: list[Callable[[], object]]) -> None:
    """Every call in a thread with a connection of its own; the first exception is raised."""

    def run(call: Callable[[], object]) -> object:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(run, calls))


def _token_set_at(device: DeviceRegistration) -> datetime:
    return DeviceRegistration.objects.get(pk=device.pk).token_set_at


@pytest.mark.django_db
def test_a_token_that_moves_to_another_device_leaves_the_first_gone() -> None:
    application = make_application()
    register(application, _request("old", "tok"))

    register(application, _request("new", "tok"))

    old, new = DeviceRegistration.objects.order_by("id")
    assert (old.state, old.gone_reason, new.state) == ("gone", "token moved", "active")
    assert old.gone_at is not None


@pytest.mark.django_db
def test_two_devices_can_swap_their_tokens() -> None:
    application = make_application()
    register(application, _request("a", "tok-a"))
    register(application, _request("b", "tok-b"))

    register(application, _request("a", "tok-b"))
    register(application, _request("b", "tok-a"))

    tokens = DeviceRegistration.objects.filter(state="active").values_list("device_id", "token")
    assert dict(tokens) == {"a": "tok-b", "b": "tok-a"}


@pytest.mark.django_db
def test_the_same_device_and_token_in_two_applications_are_two_registrations() -> None:
    for application in (make_application(), make_application("Other")):
        register(application, _request("a", "tok"))

    assert DeviceRegistration.objects.filter(state="active").count() == 2


@pytest.mark.django_db(transaction=True)
def test_token_set_at_changes_only_with_the_token() -> None:
    application = make_application()
    device = make_registration(application, device_id="a", token="tok-1")
    before = _token_set_at(device)

    register(application, _request("a", "tok-1", "news"))
    unchanged = _token_set_at(device)
    register(application, _request("a", "tok-2"))

    assert unchanged == before
    assert _token_set_at(device) > before


@pytest.mark.django_db(transaction=True)
def test_a_channel_deleted_meanwhile_is_made_again() -> None:
    application = make_application()
    register(application, _request("a", "tok", "news"))
    Channel.objects.all().delete()

    register(application, _request("a", "tok", "news"))

    assert list(Subscription.objects.values_list("channel__name", flat=True)) == ["news"]


@pytest.mark.django_db(transaction=True)
def test_fifty_parallel_identical_registrations_end_in_one_row() -> None:
    application = make_application()
    answers: list[Registered] = []

    _in_parallel([lambda: answers.append(register(application, _request("a", "tok", "x", "y")))] * 50)

    assert len(answers) == 50
    assert len(set(answers)) == 1
    assert DeviceRegistration.objects.count() == 1
    assert Subscription.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_parallel_registrations_of_a_device_leave_the_channels_of_one_of_them() -> None:
    application = make_application()
    wanted = [(f"a{n}", f"b{n}") for n in range(20)]

    _in_parallel([lambda pair=pair: register(application, _request("a", "tok", *pair)) for pair in wanted])

    assert tuple(Subscription.objects.order_by("channel__name").values_list("channel__name", flat=True)) in wanted


@pytest.mark.django_db(transaction=True)
def test_devices_fighting_for_tokens_never_share_one_and_never_fail() -> None:
    application = make_application()
    fights = [(f"device-{n % 5}", f"token-{(n * 7 + n // 5) % 5}") for n in range(100)]

    _in_parallel([lambda pair=pair: register(application, _request(*pair)) for pair in fights[:40]])
    _in_parallel([lambda pair=pair: register(application, _request(*pair)) for pair in fights[40:80]])

    tokens = list(DeviceRegistration.objects.filter(state="active").values_list("token", flat=True))
    assert len(tokens) == len(set(tokens))
    assert DeviceRegistration.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_parallel_registrations_each_get_what_they_would_get_alone() -> None:
    application = make_application()
    register(application, _request("same", "tok-same", "news"))
    register(application, _request("other-channels", "tok-channels", "news", "sport"))
    register(application, _request("other-token", "tok-before"))
    register(application, _request("holder", "tok-moved"))
    disable_gone([_gone(make_registration(application, device_id="gone", token="tok-gone"), "tok-gone")])
    wanted = [
        _request("same", "tok-same", "news"),
        _request("other-channels", "tok-channels", "sport", "tea"),
        _request("other-token", "tok-after"),
        _request("taker", "tok-moved", "tea"),
        _request("gone", "tok-gone", "news"),
        *(_request(f"new-{n}", f"tok-new-{n}", "default", f"channel-{n}") for n in range(12)),
    ]
    answers: dict[str, Registered] = {}

    def call(request: RegistrationRequest) -> None:
        answers[request.device_id] = register(application, request)

    for _ in range(3):
        _in_parallel([lambda request=request: call(request) for request in wanted])

    stored = {device.device_id: device for device in DeviceRegistration.objects.prefetch_related("channels")}
    assert (stored["holder"].state, stored["holder"].gone_reason) == ("gone", "token moved")
    for request in wanted:
        device = stored[request.device_id]
        assert (device.state, device.gone_at, device.token) == ("active", None, request.token)
        assert device.registration_id == answers[request.device_id].registration_id
        assert {channel.name for channel in device.channels.all()} == set(request.channel_names)
        assert not device.subscription_set.exclude(os="ANDROID", push_service="fcm", is_active=True).exists()


@pytest.mark.django_db(transaction=True)
def test_whatever_characters_parallel_registrations_have_are_stored_as_they_came() -> None:
    application = make_application()
    unusual = ['"', "\\", "'", "{1,2}", "[]", "null", "a\nb\t", "\u2028", "e\u0301", "💥", "x" * 255, "%s", "\x7f"]
    # tokens of Web Push are JSON themselves
    wanted = [
        _request(text, f'{{"endpoint":"https://push.example/{n}","keys":"{text}"}}', f"channel-{n}", "news")
        for n, text in enumerate(unusual)
    ]

    for _ in range(3):
        _in_parallel([lambda request=request: register(application, request) for request in wanted])

    stored = DeviceRegistration.objects.filter(state="active").values_list("device_id", "token")
    assert dict(stored) == {request.device_id: request.token for request in wanted}
    assert Subscription.objects.count() == 2 * len(wanted)


@pytest.mark.django_db(transaction=True)
def test_a_device_that_somebody_holds_keeps_no_other_waiting() -> None:
    application = make_application()
    register(application, _request("held", "tok-held"))
    others = [_request(f"other-{n}", f"tok-{n}") for n in range(15)]

    def call(request: RegistrationRequest) -> None:
        try:
            register(application, request)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(16) as pool, transaction.atomic():
        DeviceRegistration.objects.select_for_update().get(device_id="held")
        held = pool.submit(call, _request("held", "tok-held"))
        for other in [pool.submit(call, request) for request in others]:
            other.result(timeout=10)
        assert not held.done()
        transaction.on_commit(lambda: held.result(timeout=10))

    assert DeviceRegistration.objects.filter(state="active").count() == 16


@pytest.mark.django_db(transaction=True)
def test_groups_of_the_same_devices_in_any_order_never_wait_in_a_circle() -> None:
    application = make_application()
    # as two web processes would: one group each
    forward = [registration._wanted(application, _request(f"device-{n}", f"tok-{n}")) for n in range(20)]
    registration._store_together(forward)
    barrier = threading.Barrier(2)

    def store(group: list[dict[str, Any]]) -> None:
        for _ in range(20):
            barrier.wait(timeout=10)
            assert None not in registration._store_together(group)

    _in_parallel([lambda: store(forward), lambda: store(forward[::-1])])

    assert DeviceRegistration.objects.count() == Subscription.objects.count() == 20


@pytest.mark.django_db(transaction=True)
def test_parallel_calls_make_a_channel_once() -> None:
    application = make_application()

    _in_parallel(
        [lambda: ensure_channels(application, ["b", "a"]), lambda: ensure_channels(application, ["a", "b"])] * 8
    )

    assert Channel.objects.count() == 2


@pytest.mark.django_db
def test_ensure_channels_keeps_the_order_and_each_name_once() -> None:
    channels = ensure_channels(make_application(), ["news", "Default", "news", "default"])

    assert [channel.name for channel in channels] == ["news", "default"]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["", "a/b", "channels", "EMAIL", "c" * 129, "tab\there", "message:x", "trailing "])
def test_ensure_channels_refuses_names_without_an_address(name: str) -> None:
    with pytest.raises(InvalidChannelName):
        ensure_channels(make_application(), [name])


def _gone(device: DeviceRegistration, token: str, since: datetime | None = None) -> GoneToken:
    return GoneToken(registration_id=device.pk, token_used=token, reason="Unregistered", gone_since=since)


@pytest.mark.django_db
def test_a_dead_token_ends_its_registration_once() -> None:
    device = make_registration(make_application(), token="tok")

    assert disable_gone([_gone(device, "tok")]) == 1
    assert disable_gone([_gone(device, "tok")]) == 0
    device.refresh_from_db()
    assert (device.state, device.gone_reason) == ("gone", "Unregistered")


@pytest.mark.django_db
def test_a_registration_that_has_another_token_by_now_stays() -> None:
    device = make_registration(make_application(), token="new")

    assert disable_gone([_gone(device, "old")]) == 0


@pytest.mark.django_db
def test_a_token_set_after_the_push_service_saw_it_dead_stays() -> None:
    device = make_registration(make_application(), token="tok")

    assert disable_gone([_gone(device, "tok", device.token_set_at - timedelta(seconds=1))]) == 0
    assert disable_gone([_gone(device, "tok", device.token_set_at + timedelta(seconds=1))]) == 1


@pytest.mark.django_db
def test_many_dead_tokens_end_in_one_statement(django_assert_num_queries: Callable[[int], object]) -> None:
    application = make_application()
    devices = [make_registration(application) for _ in range(20)]

    with django_assert_num_queries(1):  # type: ignore[attr-defined]
        ended = disable_gone([_gone(device, device.token) for device in reversed(devices)])

    assert ended == 20
    assert disable_gone([]) == 0


@pytest.mark.django_db
def test_a_gone_device_is_back_when_it_registers_again() -> None:
    application = make_application()
    device = make_registration(application, device_id="a", token="tok")
    disable_gone([_gone(device, "tok")])

    register(application, _request("a", "tok"))

    device.refresh_from_db()
    assert (device.state, device.gone_reason, device.gone_at) == ("active", "", None)


@pytest.mark.django_db
def test_expired_registrations_are_marked_gone_and_no_others() -> None:
    application = make_application()
    expired, expiring, endless = (make_registration(application) for _ in range(3))
    now = datetime.now(UTC)
    DeviceRegistration.objects.filter(pk=expired.pk).update(expiration=now - timedelta(seconds=1))
    DeviceRegistration.objects.filter(pk=expiring.pk).update(expiration=now + timedelta(hours=1))

    assert expire_registrations() == 1
    assert expire_registrations() == 0
    states = DeviceRegistration.objects.order_by("id").values_list("pk", "state", "gone_reason")
    assert list(states) == [
        (expired.pk, "gone", "expired"),
        (expiring.pk, "active", ""),
        (endless.pk, "active", ""),
    ]


@pytest.mark.django_db
def test_more_expired_registrations_than_one_round_takes_are_all_marked() -> None:
    application = make_application()
    _insert_expired(application, 2_500)

    assert expire_registrations() == 2_500


def _insert_expired(application: Application, devices: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO devices_deviceregistration (registration_id, application_id, device_id, token, token_digest, "
            "os, os_version, push_service, user_id, locale, time_zone, attributes, state, gone_reason, expiration) "
            "SELECT gen_random_uuid(), %s, n, n, sha256(n::text::bytea), 'ANDROID', '', 'fcm', '', '', '', "
            "'{}', 'active', '', now() FROM generate_series(1, %s) n",
            [application.pk, devices],
        )


@pytest.mark.django_db
def test_an_unregistered_device_keeps_no_subscription() -> None:
    application = make_application()
    make_registration(application, device_id="a", channels=("news", "sport"))

    registration.unregister(application, "a")

    assert not Subscription.objects.exists()
    with pytest.raises(UnknownDeviceToCancel):
        registration.unregister(application, "a")
