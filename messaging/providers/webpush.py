"""Web Push to browsers' push services: RFC 8030 requests, RFC 8291 bodies, RFC 8292 (VAPID) authorization."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from time import monotonic

import msgspec

from devices.push_services import PushService
from devices.push_urls import InvalidPushUrl, PushUrlPolicy, canonical_push_url
from messaging.providers.answers import (
    ACCEPTED,
    DEVICE_HOST_FAILURES,
    Finding,
    Verdict,
    body_excerpt,
    judge,
    judge_failure,
)
from messaging.providers.base import (
    Envelope,
    HttpAnswer,
    HttpRequest,
    InvalidTarget,
    OutcomeKind,
    PayloadTooLarge,
    Prepared,
    PushOutcome,
    Target,
    Transport,
)
from messaging.providers.credentials import WebPushCredential
from messaging.providers.jwt import base64url, from_base64url, sign_es256
from messaging.providers.notifications import Notification, WebNotification
from messaging.providers.webpush_encryption import PLAINTEXT_LIMIT, encrypt

PAYLOAD_LIMIT = PLAINTEXT_LIMIT
#: autopush refuses more.
MAX_TTL_S = 2_592_000
#: RFC 8292 2 allows 24 hours; half of it leaves room for clocks that are wrong.
_VAPID_LIFE = timedelta(hours=12)
_VAPID_RENEW_S = 6 * 3600

#: Devices may name any host below an allowed suffix, so what is kept per host has a bound.
MAX_ORIGINS = 1000

_GONE = Verdict(OutcomeKind.GONE)
_FAIL_DEVICE = Verdict(OutcomeKind.FAIL_DEVICE)
_RETRY = Verdict(OutcomeKind.RETRY, 10.0)
#: 401 and 403 mean a wrong VAPID key for all devices, or a subscription made with another one: never a reason to
#: forget it.
_BY_STATUS: dict[int, Verdict] = {
    401: Verdict(OutcomeKind.KEY_REFUSED, is_suspicious=True),
    403: Verdict(OutcomeKind.KEY_REFUSED, is_suspicious=True),
    404: _GONE,
    410: _GONE,
    413: Verdict(OutcomeKind.FAIL_MESSAGE),
    429: Verdict(OutcomeKind.RETRY, 60.0, whole_lane=True),
}


class _StoredKeys(msgspec.Struct):
    p256dh: str
    auth: str


class _StoredSubscription(msgspec.Struct):
    endpoint: str
    keys: _StoredKeys


_subscription_decoder = msgspec.json.Decoder(_StoredSubscription)


@dataclass(frozen=True, slots=True)
class _Subscription:
    endpoint: str
    receiver_key: bytes
    auth: bytes


@dataclass(frozen=True, slots=True)
class WebPushPrepared:
    """A plaintext to encrypt for each subscription."""

    provider: WebPushProvider
    payload: bytes  #: the JSON before encryption
    shared_lines: tuple[str, ...]

    def request(self, key: int, target: Target) -> HttpRequest:
        """The request for one device. Raises InvalidTarget."""
        subscription = _read_subscription(target.token, self.provider.url_policy)
        try:
            body = encrypt(self.payload, subscription.receiver_key, subscription.auth)
        except ValueError as error:
            raise InvalidTarget("The stored subscription's key does not lie on P-256.") from error
        lines = self.provider.lines_for(_origin(subscription.endpoint), self.shared_lines)
        return HttpRequest(key, subscription.endpoint, lines, body)


class WebPushProvider:
    """Every browser's push service, with one VAPID key pair."""

    push_service = PushService.WEBPUSH

    def __init__(self, credential: WebPushCredential, transport: Transport, url_policy: PushUrlPolicy) -> None:
        self.transport = transport
        self.url_policy = url_policy
        self._credential = credential
        self._vapid: dict[str, tuple[float, str]] = {}
        self._lines: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}

    def authorize(self, *, refused: bool = False) -> None:
        """Nothing to fetch; VAPID headers are signed per origin when first used. `refused` forgets them."""
        if refused:
            self._forget()

    def prepare(self, notification: Notification, envelope: Envelope) -> Prepared:
        """Render once for a batch. Raises PayloadTooLarge."""
        assert isinstance(notification, WebNotification)
        payload = encode_payload(notification)
        if len(payload) > PAYLOAD_LIMIT:
            raise PayloadTooLarge(len(payload), PAYLOAD_LIMIT)
        self._lines.clear()
        return WebPushPrepared(self, payload, header_lines(envelope))

    def parse(self, answer: HttpAnswer) -> PushOutcome:
        """Judge one answer; never raises."""
        return parse_answer(answer)

    def lane_key(self, target: Target) -> str:
        """The push service's origin; "" for a token that `request` will refuse."""
        try:
            return _origin(_read_subscription(target.token, self.url_policy).endpoint)
        except InvalidTarget:
            return ""

    def lines_for(self, origin: str, shared_lines: tuple[str, ...]) -> tuple[str, ...]:
        """One tuple for every request of a batch to this origin: the transport compares it by identity."""
        signed_at, authorization = self._vapid.get(origin, (0.0, ""))
        if not authorization or monotonic() - signed_at >= _VAPID_RENEW_S:
            authorization = self._sign(origin)
            self._forget(origin if len(self._vapid) < MAX_ORIGINS else "")
            self._vapid[origin] = (monotonic(), authorization)
        lines = self._lines.get((origin, shared_lines))
        if lines is None:
            lines = self._lines[origin, shared_lines] = (f"authorization: {authorization}", *shared_lines)
        return lines

    def _sign(self, origin: str) -> str:
        expires_at = datetime.now(UTC) + _VAPID_LIFE
        claims: dict[str, str | int] = {
            "aud": origin,
            "exp": int(expires_at.timestamp()),
            "sub": self._credential.subject,
        }
        token = sign_es256(self._credential.private_key, claims)
        return f"vapid t={token}, k={self._credential.public_key}"

    def _forget(self, origin: str = "") -> None:
        for key in [key for key in self._lines if origin in ("", key[0])]:
            del self._lines[key]
        if not origin:
            self._vapid.clear()


def encode_payload(notification: WebNotification) -> bytes:
    """The JSON that the service worker reads."""
    members = {
        "title": notification.title,
        "body": notification.body,
        "icon": notification.icon_url,
        "image": notification.image_url,
        "badge": notification.badge_url,
        "actions": [{"action": action.id, "title": action.title} for action in notification.actions],
        "url": notification.url,
        "tag": notification.tag,
        "data": notification.data,
    }
    shown = {name: member for name, member in members.items() if member or name in ("title", "body")}
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()


def header_lines(envelope: Envelope) -> tuple[str, ...]:
    """The header lines that all devices share."""
    return (
        f"ttl: {min(max(envelope.ttl_s, 0), MAX_TTL_S)}",
        "urgency: normal",
        f"topic: {_topic(envelope.message_id)}",
        "content-encoding: aes128gcm",
        "content-type: application/octet-stream",
    )


def parse_answer(answer: HttpAnswer) -> PushOutcome:
    """Judge one answer by its status (RFC 8030; bodies are the services' own affair); never raises."""
    if answer.failure is not None:
        return judge_failure(answer, DEVICE_HOST_FAILURES)
    if 200 <= answer.status < 300:
        return judge(answer, ACCEPTED, Finding(provider_id=answer.headers.get("location", "")))
    verdict = _BY_STATUS.get(answer.status) or (_RETRY if answer.status >= 500 else _FAIL_DEVICE)
    return judge(answer, verdict, Finding(detail=body_excerpt(answer)))


def _read_subscription(token: str, policy: PushUrlPolicy) -> _Subscription:
    """The stored PushSubscription, its endpoint through the gate once more: the allow-list may have shrunk."""
    try:
        stored = _subscription_decoder.decode(token)
        endpoint = canonical_push_url(stored.endpoint, policy)
        subscription = _Subscription(endpoint, from_base64url(stored.keys.p256dh), from_base64url(stored.keys.auth))
    except InvalidPushUrl as error:
        raise InvalidTarget(f"The stored endpoint {error.reason}.") from error
    except (ValueError, msgspec.DecodeError) as error:
        raise InvalidTarget("The stored token is not a PushSubscription.") from error
    if len(subscription.receiver_key) != 65 or len(subscription.auth) != 16:
        raise InvalidTarget("The stored subscription has keys of a wrong length.")
    return subscription


def _origin(endpoint: str) -> str:
    return endpoint[: endpoint.index("/", 8)]


def _topic(message_id: str) -> str:
    """At most 32 characters of base64url (RFC 8030 5.4): a hash, as message ids are longer and hold a colon."""
    return base64url(blake2b(message_id.encode(), digest_size=24).digest())
