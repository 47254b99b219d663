from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from devices.push_services import Os, PushService
from devices.push_urls import PushUrlPolicy
from devices.tokens import InvalidDeviceToken, parse_device_token
from messaging.providers.jwt import base64url

POLICY = PushUrlPolicy()
POINT = generate_private_key(SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
AUTH = b"0123456789abcdef"
ENDPOINT = "https://updates.push.services.mozilla.com/wpush/v2/abc"


def subscription(**changes: Any) -> str:
    keys = {"p256dh": changes.pop("p256dh", base64url(POINT)), "auth": changes.pop("auth", base64url(AUTH))}
    return json.dumps({"endpoint": ENDPOINT, "expirationTime": None, "keys": keys, **changes})


@pytest.mark.parametrize("token", ["tok", "X" * 25, "dEf:APA91b_-.x", "x" * 4096])
def test_android_token_is_kept_as_it_is(token: str) -> None:
    parsed = parse_device_token(token, Os.ANDROID, POLICY)

    assert (parsed.push_service, parsed.token) == (PushService.FCM, token)


@pytest.mark.parametrize("token", ["", " ", "a b", 'a"b', "a/b", "a\n", "\u00e9", "x" * 4097])
def test_android_token_with_other_characters_is_refused(token: str) -> None:
    with pytest.raises(InvalidDeviceToken):
        parse_device_token(token, Os.ANDROID, POLICY)


@pytest.mark.parametrize("os", [Os.IOS, Os.OSX])
def test_apple_token_is_stored_in_lower_case(os: Os) -> None:
    parsed = parse_device_token("ABCDEF01" * 8, os, POLICY)

    assert (parsed.push_service, parsed.token) == (PushService.APNS, "abcdef01" * 8)


@pytest.mark.parametrize("token", ["", "abc", "abcdefg1", "../../../x", "ab" * 257, "abcdef01\n", "\uff11" * 8])
def test_apple_token_that_is_not_hex_is_refused(token: str) -> None:
    with pytest.raises(InvalidDeviceToken):
        parse_device_token(token, Os.IOS, POLICY)


def test_windows_channel_uri_passes_the_gate() -> None:
    parsed = parse_device_token("https://db5.NOTIFY.windows.com:443/?token=A%2bB", Os.WP, POLICY)

    assert (parsed.push_service, parsed.token) == (PushService.WNS, "https://db5.notify.windows.com/?token=A%2bB")


@pytest.mark.parametrize("token", ["tok", "https://169.254.169.254/", "http://db5.notify.windows.com/"])
def test_windows_token_that_fails_the_gate_is_refused(token: str) -> None:
    with pytest.raises(InvalidDeviceToken):
        parse_device_token(token, Os.WP, POLICY)


@pytest.mark.parametrize("os", list(Os))
def test_push_subscription_is_web_push_on_every_os(os: Os) -> None:
    parsed = parse_device_token(subscription(), os, POLICY)

    assert parsed.push_service is PushService.WEBPUSH
    assert json.loads(parsed.token) == {
        "endpoint": ENDPOINT,
        "keys": {"p256dh": base64url(POINT), "auth": base64url(AUTH)},
    }


def test_spellings_of_one_subscription_are_stored_alike() -> None:
    padded = subscription(
        p256dh=base64url(POINT).replace("-", "+").replace("_", "/") + "=", auth=base64url(AUTH) + "=="
    )
    expiring = f"  {subscription(expirationTime=1893477600000, extra=[1])} "

    stored = {parse_device_token(token, Os.WEB, POLICY).token for token in (subscription(), padded, expiring)}

    assert len(stored) == 1


@pytest.mark.parametrize(
    "token",
    [
        *("", "tok", "{", "[]", "null", "{}", '{"endpoint":1}', '{"endpoint":' * 3000, "{" + " " * 9000),
        subscription(endpoint="http://updates.push.services.mozilla.com/x"),
        subscription(endpoint="https://127.0.0.1:8080/x.google.com/"),
        subscription(p256dh=""),
        subscription(p256dh=base64url(POINT[:-1])),
        subscription(p256dh=base64url(b"\x04" + b"\x01" * 64)),
        subscription(p256dh=base64url(b"\x02" + POINT[1:])),
        subscription(p256dh="!" * 87),
        subscription(auth=""),
        subscription(auth=base64url(AUTH + b"x")),
        subscription(auth="a"),
        subscription(keys=None),
        subscription(expirationTime="soon"),
        '{"endpoint":"\ud800","keys":{}}',
    ],
)
def test_broken_subscription_is_refused(token: str) -> None:
    with pytest.raises(InvalidDeviceToken):
        parse_device_token(token, Os.WEB, POLICY)


def test_refusal_says_what_is_wrong() -> None:
    with pytest.raises(InvalidDeviceToken, match="does not lie on the curve P-256"):
        parse_device_token(subscription(p256dh=base64url(b"\x04" + b"\x01" * 64)), Os.WEB, POLICY)
