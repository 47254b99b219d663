"""Seed 3: the Device Registration API, with the JSON of its page and of the SDKs (traffic.md 2, rows 20 to 27)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from devices.models import Channel, DeviceRegistration
from tests.api.conftest import Api
from tests.factories import make_account

DOCUMENTED = {
    "deviceToken": "XXXXXXXXXXXXXXXXXXXXXXXXX",
    "deviceId": "XXXXXXXXXXXXXXXXXXXXXXXXX",
    "os": "ANDROID",
    "osVersion": "4.1",
}
FROM_THE_SDK = {"deviceToken": "tok", "deviceId": "DEV-1", "os": "ANDROID", "osVersion": "14"}
PATH = "/messaging/registrations"


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def test_the_documented_call_registers_with_the_default_channel(api: Api) -> None:
    status, answer = api.post(PATH, DOCUMENTED)

    device = DeviceRegistration.objects.get(device_id=DOCUMENTED["deviceId"])
    assert status == 200
    assert answer == {"registrationId": f"{str(device.registration_id).upper()}::default"}
    assert list(device.channels.values_list("name", flat=True)) == ["default"]


def test_one_registration_id_for_each_channel(api: Api) -> None:
    _, answer = api.post(PATH, FROM_THE_SDK | {"channels": ["news", "default"]})

    first, second = answer["registrationId"].split(",")
    assert first.endswith("::news")
    assert second.endswith("::default")
    assert first.partition("::")[0] == second.partition("::")[0]


def test_unknown_channels_are_created(api: Api) -> None:
    api.post(PATH, FROM_THE_SDK | {"channels": ["never seen"]})

    assert Channel.objects.filter(application=api.account.application, name="never seen").exists()


@pytest.mark.parametrize("channels", [[], None, ["Default"], ["default", "Default"]])
def test_no_channel_and_Default_both_mean_default(api: Api, channels: object) -> None:
    _, answer = api.post(PATH, FROM_THE_SDK | {"channels": channels})

    assert answer["registrationId"].endswith("::default")
    assert "," not in answer["registrationId"]


def test_registering_again_updates_the_device_and_replaces_its_channels(api: Api) -> None:
    _, before = api.post(PATH, FROM_THE_SDK | {"channels": ["news", "sport"]})

    _, after = api.post(PATH, FROM_THE_SDK | {"osVersion": "15", "channels": ["sport", "weather"]})

    _, (device,) = api.get(f"{PATH}/DEV-1")
    assert device["osVersion"] == "15"
    assert sorted(device["channels"]) == ["sport", "weather"]
    assert before["registrationId"].partition("::")[0] == after["registrationId"].partition("::")[0]


def test_get_answers_a_list_of_one_with_what_was_registered(api: Api) -> None:
    expiration = 1_893_477_600_000
    _, registered = api.post(PATH, FROM_THE_SDK | {"channels": ["news"], "expiration": expiration})

    status, answer = api.get(f"{PATH}/DEV-1")

    assert status == 200
    assert answer == [
        {
            "id": registered["registrationId"].partition("::")[0],
            **FROM_THE_SDK,
            "channels": ["news"],
            "expiration": expiration,
        }
    ]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (1893477600000, 1893477600000),
        (1893477600.123, 1893477600123),
        (1893477600, 1893477600000),
        ("2030-01-01T06:00:00.000Z", 1893477600000),
        (None, None),
    ],
)
def test_expiration_comes_in_milliseconds_seconds_or_iso_text(api: Api, sent: object, stored: object) -> None:
    api.post(PATH, FROM_THE_SDK | {"expiration": sent})

    _, (device,) = api.get(f"{PATH}/DEV-1")
    assert device["expiration"] == stored


@pytest.mark.parametrize(
    "expiration",
    [
        1,
        0,
        -1,
        1_500_000_000,
        True,
        "soon",
        "2030-01-01T06:00:00",
        [],
        253_402_300_800_000,
        253_402_300_799_999.97,
        "9999-12-31T23:59:59-10:00",
        1e300,
        "33658-09-27T01:46:40Z",
    ],
)
def test_expiration_not_in_the_future_is_error_5004(api: Api, expiration: object) -> None:
    status, answer = api.post(PATH, FROM_THE_SDK | {"expiration": expiration})

    assert (status, answer["code"]) == (400, 5004)
    assert not DeviceRegistration.objects.exists()


def test_a_registration_ends_the_moment_it_expires(api: Api) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    api.post(PATH, FROM_THE_SDK | {"expiration": _milliseconds(soon)})
    DeviceRegistration.objects.update(expiration=datetime.now(UTC) - timedelta(seconds=1))

    status, answer = api.get(f"{PATH}/DEV-1")

    assert (status, answer["code"]) == (400, 5000)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("deviceId", "d" * 256),
        ("deviceToken", "t" * 8193),
        ("osVersion", "9" * 65),
        ("channels", ["c" * 129]),
        ("channels", [f"channel {n}" for n in range(101)]),
    ],
)
def test_a_property_over_its_limit_is_error_8000_naming_it(api: Api, field: str, value: object) -> None:
    status, answer = api.post(PATH, FROM_THE_SDK | {field: value})

    assert (status, answer["code"]) == (400, 8000)
    assert field in answer["message"]


def test_a_property_at_its_limit_is_taken(api: Api) -> None:
    at_the_limit = {"deviceId": "d" * 255, "osVersion": "9" * 64, "channels": ["c" * 128]}

    status, _ = api.post(PATH, FROM_THE_SDK | at_the_limit)

    assert status == 200


@pytest.mark.parametrize("os", ["ios", "Ios", "IOS"])
def test_os_is_taken_in_any_letter_case(api: Api, os: str) -> None:
    status, _ = api.post(PATH, {"deviceToken": "ab" * 32, "deviceId": "DEV-1", "os": os, "osVersion": 17.5})

    _, (device,) = api.get(f"{PATH}/DEV-1")
    assert (status, device["os"], device["osVersion"]) == (200, "IOS", "17.5")


@pytest.mark.parametrize("os", ["SYMBIAN", "", None, 1, ["IOS"]])
def test_an_unknown_os_is_refused_by_name(api: Api, os: object) -> None:
    status, answer = api.post(PATH, FROM_THE_SDK | {"os": os})

    assert (status, answer["code"]) == (400, 5901)
    assert answer["message"].startswith("os")


@pytest.mark.parametrize("field", ["deviceId", "deviceToken", "os"])
def test_a_missing_property_is_refused(api: Api, field: str) -> None:
    status, answer = api.post(PATH, {key: value for key, value in FROM_THE_SDK.items() if key != field})

    assert (status, answer["code"]) == (400, 5901)
    assert field in answer["message"]


@pytest.mark.parametrize("name", ["", "a/b", "registrations", "Push", "message:1", "a\nb", " news"])
def test_a_channel_name_that_could_not_be_addressed_is_refused(api: Api, name: str) -> None:
    status, answer = api.post(PATH, FROM_THE_SDK | {"channels": [name]})

    assert (status, answer["code"]) == (400, 5912)


def test_delete_unregisters_and_answers_a_boolean(api: Api) -> None:
    api.post(PATH, FROM_THE_SDK)

    assert api.delete(f"{PATH}/DEV-1") == (200, {"result": True})
    assert api.get(f"{PATH}/DEV-1")[1]["code"] == 5000


def test_the_singular_of_the_documentation_unregisters_too(api: Api) -> None:
    api.post(PATH, FROM_THE_SDK)

    assert api.delete("/messaging/registration/DEV-1") == (200, {"result": True})


def test_an_unknown_device_is_error_5000_on_get_and_5001_on_delete(api: Api) -> None:
    assert api.get(f"{PATH}/nobody") == (
        400,
        {"code": 5000, "message": "Unable to retrieve device registration - unknown device ID.", "errorData": {}},
    )
    assert api.delete(f"{PATH}/nobody")[1]["code"] == 5001


@pytest.mark.parametrize(("device_id", "in_address"), [("a/b c", "a%2Fb%20c"), ("a\nb", "a%0Ab")])
def test_a_device_id_may_hold_a_slash_or_a_line_break(api: Api, device_id: str, in_address: str) -> None:
    api.post(PATH, FROM_THE_SDK | {"deviceId": device_id})

    status, (device,) = api.get(f"{PATH}/{in_address}")

    assert (status, device["deviceId"]) == (200, device_id)


def test_an_unregistered_device_registers_again_under_its_id(api: Api) -> None:
    _, before = api.post(PATH, FROM_THE_SDK)
    api.delete(f"{PATH}/DEV-1")

    _, after = api.post(PATH, FROM_THE_SDK)

    assert before == after
    assert api.get(f"{PATH}/DEV-1")[0] == 200


def test_a_token_of_the_wrong_push_service_is_refused(api: Api) -> None:
    status, answer = api.post(PATH, FROM_THE_SDK | {"os": "IOS", "deviceToken": "../../3/device"})

    assert (status, answer["code"]) == (400, 5910)


def test_the_key_shipped_in_apps_may_register(api: Api) -> None:
    assert api.post(PATH, FROM_THE_SDK, as_client=True)[0] == 200


#: the public key of RFC 8291, appendix A, and its authentication secret
SUBSCRIPTION_KEYS = {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}


def _subscription(endpoint: str, **keys: str) -> dict[str, str]:
    subscription = {"endpoint": endpoint, "expirationTime": None, "keys": SUBSCRIPTION_KEYS | keys}
    return {"deviceToken": json.dumps(subscription), "deviceId": "BROWSER", "os": "WEB", "osVersion": "Firefox 140"}


def test_a_browsers_push_subscription_registers_for_web_push(api: Api) -> None:
    status, _ = api.post(PATH, _subscription("https://updates.push.services.mozilla.com/wpush/v2/abc"))

    assert status == 200
    assert DeviceRegistration.objects.get().push_service == "webpush"


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://updates.push.services.mozilla.com/wpush/v2/abc",
        "https://127.0.0.1/x",
        "https://127.0.0.1:8080/x.push.apple.com/",
        "https://user@fcm.googleapis.com/x",
        "https://127.0.0.1\\@fcm.googleapis.com/x",
        "https://fcm.googleapis.com:22/x",
        "https://fcm.googleapis.com.evil.example/x",
        "https://metadata.google.internal/x",
        "https://fcm.googleapis.com/" + "x" * 3000,
    ],
)
def test_an_endpoint_that_is_no_known_push_server_is_refused(api: Api, endpoint: str) -> None:
    status, answer = api.post(PATH, _subscription(endpoint))

    assert (status, answer["code"]) == (400, 5910)
    assert not DeviceRegistration.objects.exists()


@pytest.mark.parametrize("keys", [{"auth": ""}, {"p256dh": "BA" + "A" * 85}, {"p256dh": "!"}])
def test_subscription_keys_that_cannot_encrypt_are_refused(api: Api, keys: dict[str, str]) -> None:
    status, answer = api.post(PATH, _subscription("https://fcm.googleapis.com/fcm/send/abc", **keys))

    assert (status, answer["code"]) == (400, 5910)


def test_another_applications_device_answers_as_if_absent(api: Api) -> None:
    api.post(PATH, FROM_THE_SDK)
    stranger = Api(make_account(), api.client)

    assert stranger.get(f"{PATH}/DEV-1")[1]["code"] == 5000
    assert stranger.delete(f"{PATH}/DEV-1")[1]["code"] == 5001
    assert api.get(f"{PATH}/DEV-1")[0] == 200
