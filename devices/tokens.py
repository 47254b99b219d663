"""Check a `deviceToken` as an app registers it and give the one form that is stored."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from devices.push_services import NATIVE_PUSH_SERVICE, Os, PushService
from devices.push_urls import InvalidPushUrl, PushUrlPolicy, canonical_push_url

#: Apple: "don't make assumptions about device token size"; the bound only keeps the request path sane.
_APNS_TOKEN = re.compile(r"[0-9A-Fa-f]{8,512}")
#: No minimum: the documentation's own example registers 25 X's.
_FCM_TOKEN = re.compile(r"[A-Za-z0-9_:.\-]{1,4096}")
_P256DH_LENGTH = 65
_AUTH_LENGTH = 16
_MAX_SUBSCRIPTION_LENGTH = 8192


class InvalidDeviceToken(ValueError):
    """The push service of this device could never be reached with this token."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The device token {reason}.")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ParsedToken:
    """Where a device is reached."""

    push_service: PushService
    token: str  #: canonical, so that equal tokens are equal strings


class _SubscriptionKeys(msgspec.Struct, frozen=True):
    p256dh: str
    auth: str


class _PushSubscription(msgspec.Struct, frozen=True, rename="camel"):
    """What a browser's `PushSubscription.toJSON()` gives (Push API)."""

    endpoint: str
    keys: _SubscriptionKeys
    expiration_time: float | None = None


def parse_device_token(token: str, os: Os, policy: PushUrlPolicy) -> ParsedToken:
    """The push service and canonical token of a device of this `os`. Raises InvalidDeviceToken.

    A PushSubscription JSON is a Web Push device whatever its OS.
    """
    if os is Os.WEB or token.lstrip().startswith("{"):
        return ParsedToken(PushService.WEBPUSH, _canonical_subscription(token, policy))
    push_service = NATIVE_PUSH_SERVICE[os]
    if push_service is PushService.APNS:
        return ParsedToken(push_service, _canonical_apns(token))
    if push_service is PushService.FCM:
        return ParsedToken(push_service, _checked_fcm(token))
    return ParsedToken(push_service, _gated_url(token, policy))


def _canonical_apns(token: str) -> str:
    if not _APNS_TOKEN.fullmatch(token):
        raise InvalidDeviceToken("must be 8 to 512 hexadecimal digits for iOS and macOS")
    return token.lower()


def _checked_fcm(token: str) -> str:
    if not _FCM_TOKEN.fullmatch(token):
        raise InvalidDeviceToken("must be 1 to 4096 letters, digits or the characters _ : . - for Android")
    return token


def _gated_url(url: str, policy: PushUrlPolicy) -> str:
    try:
        return canonical_push_url(url, policy)
    except InvalidPushUrl as error:
        raise InvalidDeviceToken(f"holds a URL that {error.reason}") from error


def _canonical_subscription(token: str, policy: PushUrlPolicy) -> str:
    if len(token) > _MAX_SUBSCRIPTION_LENGTH:
        raise InvalidDeviceToken(f"is longer than {_MAX_SUBSCRIPTION_LENGTH} characters")
    try:
        subscription = msgspec.json.decode(token, type=_PushSubscription)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise InvalidDeviceToken("must be a PushSubscription JSON with endpoint, keys.p256dh and keys.auth") from error
    canonical = {
        "endpoint": _gated_url(subscription.endpoint, policy),
        "keys": {
            "p256dh": _encode(_checked_point(subscription.keys.p256dh)),
            "auth": _encode(_checked_auth(subscription.keys.auth)),
        },
    }
    return msgspec.json.encode(canonical).decode()


def _checked_point(text: str) -> bytes:
    point = _decode(text, "keys.p256dh")
    if len(point) != _P256DH_LENGTH or point[0] != 4:
        raise InvalidDeviceToken("has a keys.p256dh that is not an uncompressed P-256 point of 65 bytes")
    try:
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except ValueError as error:
        raise InvalidDeviceToken("has a keys.p256dh that does not lie on the curve P-256") from error
    return point


def _checked_auth(text: str) -> bytes:
    auth = _decode(text, "keys.auth")
    if len(auth) != _AUTH_LENGTH:
        raise InvalidDeviceToken("has a keys.auth that is not 16 bytes long")
    return auth


def _decode(text: str, name: str) -> bytes:
    """base64 in either alphabet, padded or not: clients differ."""
    url_safe = text.rstrip("=").replace("+", "-").replace("/", "_")
    if not re.fullmatch(r"[A-Za-z0-9_-]*", url_safe):
        raise InvalidDeviceToken(f"has a {name} that is not base64url")
    try:
        return urlsafe_b64decode(url_safe + "=" * (-len(url_safe) % 4))
    except binascii.Error as error:
        raise InvalidDeviceToken(f"has a {name} that is not base64url") from error


def _encode(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()
