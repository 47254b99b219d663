"""Apple Push Notification service over HTTP/2: build requests, read answers, keep the provider token.

Source: Apple "Sending notification requests to APNs", "Handling notification responses from APNs",
"Establishing a token-based connection to APNs".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from time import time
from typing import Any

from devices.push_services import PushService
from messaging.providers.answers import (
    ACCEPTED,
    FIXED_HOST_FAILURES,
    Finding,
    Verdict,
    body_excerpt,
    json_object,
    judge,
    judge_failure,
    text_of,
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
from messaging.providers.credentials import AccessToken, ApnsCredential, TokenStore, token_kind
from messaging.providers.jwt import sign_es256
from messaging.providers.notifications import IosNotification, Notification

PAYLOAD_LIMIT = 4096
#: Apple stores a notification for 30 days at most.
MAX_TTL_S = 30 * 24 * 3600
COLLAPSE_ID_LIMIT = 64
_TOKEN_LIFE = timedelta(minutes=60)
_REISSUE_AT = timedelta(minutes=45)
#: "TooManyProviderTokenUpdates" answers anything more frequent, whatever the reason was.
_NEVER_WITHIN = timedelta(minutes=20)
_TOKEN = re.compile(r"[0-9A-Fa-f]{8,512}")

_PAUSE = Verdict(OutcomeKind.PAUSE)
_FAIL_MESSAGE = Verdict(OutcomeKind.FAIL_MESSAGE)
#: What nobody documented, such as a redirect, is an answer of something in between as likely as the device's fault.
_STRANGE = Verdict(OutcomeKind.FAIL_DEVICE, is_suspicious=True)
_AT_ONCE = Verdict(OutcomeKind.RETRY, 0.0)
#: Sandbox tokens sent to production and a wrong topic answer like this for every device.
_REFUSED_TOKEN = Verdict(OutcomeKind.SUSPECT, is_suspicious=True)
_GONE = Verdict(OutcomeKind.GONE)
#: "You can retry a 5xx after 15 minutes."
_LATER = Verdict(OutcomeKind.RETRY, 900.0, at_least_s=900.0)
_THROTTLED_DEVICE = Verdict(OutcomeKind.RETRY, 60.0)

_BY_REASON: dict[tuple[int, str], Verdict] = {
    (400, "BadDeviceToken"): _REFUSED_TOKEN,
    (400, "DeviceTokenNotForTopic"): _REFUSED_TOKEN,
    (400, "BadTopic"): _PAUSE,
    (400, "MissingTopic"): _PAUSE,
    (400, "TopicDisallowed"): _PAUSE,
    (400, "BadCollapseId"): _FAIL_MESSAGE,
    (400, "BadExpirationDate"): _FAIL_MESSAGE,
    (400, "BadMessageId"): _FAIL_MESSAGE,
    (400, "BadPriority"): _FAIL_MESSAGE,
    (400, "InvalidPushType"): _FAIL_MESSAGE,
    (400, "PayloadEmpty"): _FAIL_MESSAGE,
    (400, "DuplicateHeaders"): _FAIL_MESSAGE,
    (400, "MissingDeviceToken"): _FAIL_MESSAGE,
    (400, "IdleTimeout"): _AT_ONCE,
    (403, "ExpiredProviderToken"): Verdict(OutcomeKind.REAUTH),
    (403, "UnrelatedKeyIdInToken"): _AT_ONCE,
    (429, "TooManyProviderTokenUpdates"): Verdict(OutcomeKind.RETRY, 1200.0, whole_lane=True, at_least_s=1200.0),
    (429, "TooManyRequests"): _THROTTLED_DEVICE,
}
#: Every other 403 (InvalidProviderToken, Forbidden, BadEnvironmentKeyIdInToken, ...) is our credential's fault.
_BY_STATUS: dict[int, Verdict] = {
    401: _PAUSE,
    403: _PAUSE,
    410: _GONE,
    413: _FAIL_MESSAGE,
    429: _THROTTLED_DEVICE,
}


@dataclass(frozen=True, slots=True)
class ApnsPrepared:
    """A payload that is the same for every device; only path and apns-id differ."""

    provider: ApnsProvider
    payload: bytes  #: the JSON body
    shared_lines: tuple[str, ...]
    id_seed: Any  #: hash over the occurrence, to be continued with a registration id

    def request(self, key: int, target: Target) -> HttpRequest:
        """The request for one device. Raises InvalidTarget."""
        if not _TOKEN.fullmatch(target.token):
            raise InvalidTarget("The stored token is not hexadecimal.")
        own = (f"apns-id: {self._apns_id(target.registration_id)}",)
        lines = self.provider.lines_for(self.shared_lines)
        return HttpRequest(key, self.provider.device_url + target.token, lines, self.payload, own)

    def _apns_id(self, registration_id: int) -> str:
        """The same UUID (RFC 9562 version 8) whenever this occurrence is sent to this registration again."""
        seed = self.id_seed.copy()
        seed.update(b"%d" % registration_id)
        digits = seed.hexdigest()
        return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}"


class ApnsProvider:
    """APNs for one app (topic) with one signing key."""

    push_service = PushService.APNS

    def __init__(self, credential: ApnsCredential, transport: Transport, store: TokenStore, *, base_url: str) -> None:
        self.transport = transport
        self.device_url = f"{base_url}/3/device/"
        self.auth_lines: tuple[str, ...] = ()
        self._credential, self._store = credential, store
        # All apps of one team and key share the token: APNs counts its updates per key.
        self._kind = token_kind("apns", credential.team_id, credential.key_id)
        self._token: AccessToken | None = None
        self._lines: dict[tuple[str, ...], tuple[str, ...]] = {}

    def authorize(self, *, refused: bool = False) -> None:
        """Have a provider token younger than 45 minutes; never a new one within 20 minutes, even when refused."""
        if refused or self._token is None or _age(self._token) >= _REISSUE_AT:
            self._token = self._store.renew(self._kind, lambda stored: self._mint_if_allowed(stored, refused))
            self.auth_lines = (f"authorization: bearer {self._token.value}",)
            self._lines.clear()

    def prepare(self, notification: Notification, envelope: Envelope) -> Prepared:
        """Render once for a batch. Raises PayloadTooLarge."""
        assert isinstance(notification, IosNotification)
        payload = encode_payload(notification)
        if len(payload) > PAYLOAD_LIMIT:
            raise PayloadTooLarge(len(payload), PAYLOAD_LIMIT)
        lines = header_lines(notification, envelope, self._credential.topic)
        self._lines.clear()
        seed = blake2b(f"{envelope.message_id} {envelope.occurrence_id} ".encode(), digest_size=16)
        return ApnsPrepared(self, payload, lines, seed)

    def parse(self, answer: HttpAnswer) -> PushOutcome:
        """Judge one answer; never raises."""
        return parse_answer(answer)

    def lane_key(self, target: Target) -> str:
        """One app, one lane."""
        return ""

    def lines_for(self, shared_lines: tuple[str, ...]) -> tuple[str, ...]:
        """A batch's header lines with the provider token of now: the same tuple until the token changes."""
        lines = self._lines.get(shared_lines)
        if lines is None:
            lines = self._lines[shared_lines] = (*self.auth_lines, *shared_lines)
        return lines

    def _mint_if_allowed(self, stored: AccessToken | None, refused: bool) -> AccessToken:
        if stored is not None and _age(stored) < (_NEVER_WITHIN if refused else _REISSUE_AT):
            return stored
        issued_at = datetime.now(UTC).replace(microsecond=0)
        claims: dict[str, str | int] = {"iss": self._credential.team_id, "iat": int(issued_at.timestamp())}
        token = sign_es256(self._credential.key, claims, key_id=self._credential.key_id)
        return AccessToken(token, issued_at, issued_at + _TOKEN_LIFE)


def build_payload(notification: IosNotification) -> dict[str, Any]:
    """The JSON payload: `aps` and, beside it, the app's own keys."""
    alert = {
        name: text
        for name, text in (
            ("title", notification.title),
            ("subtitle", notification.subtitle),
            ("body", notification.body),
        )
        if text
    }
    aps: dict[str, Any] = {}
    if alert:
        aps["alert"] = alert
    if notification.badge is not None:
        aps["badge"] = notification.badge
    if notification.sound:
        aps["sound"] = notification.sound
    if notification.content_available:
        aps["content-available"] = 1
    if notification.mutable_content:
        aps["mutable-content"] = 1
    if notification.thread_id:
        aps["thread-id"] = notification.thread_id
    if notification.category:
        aps["category"] = notification.category
    return {"aps": aps, **notification.custom}


def encode_payload(notification: IosNotification) -> bytes:
    """The payload as it is sent and counted."""
    return json.dumps(build_payload(notification), ensure_ascii=False, separators=(",", ":")).encode()


def header_lines(notification: IosNotification, envelope: Envelope, topic: str) -> tuple[str, ...]:
    """The apns-* header lines that all devices share.

    A background notification must have priority 5; APNs answers 10 with an error.
    """
    is_background = notification.content_available and not _is_visible(notification)
    push_type, priority = ("background", 5) if is_background else ("alert", 10)
    expiration = int(time()) + min(max(envelope.ttl_s, 0), MAX_TTL_S) if envelope.ttl_s > 0 else 0
    return (
        f"apns-topic: {topic}",
        f"apns-push-type: {push_type}",
        f"apns-priority: {priority}",
        f"apns-expiration: {expiration}",
        f"apns-collapse-id: {_collapse_id(envelope.message_id)}",
        "content-type: application/json",
    )


def parse_answer(answer: HttpAnswer) -> PushOutcome:
    """Judge one answer by Apple's table of reasons, unknown ones by status; never raises."""
    if answer.failure is not None:
        return judge_failure(answer, FIXED_HOST_FAILURES)
    apns_id = answer.headers.get("apns-id", "")
    if 200 <= answer.status < 300:
        return judge(answer, ACCEPTED, Finding(provider_id=apns_id))
    parsed = json_object(answer.body)
    reason = text_of(parsed, "reason")
    verdict = _BY_REASON.get((answer.status, reason)) or _by_status(answer.status)
    finding = Finding(
        reason=reason,
        provider_id=apns_id,
        detail="" if reason else body_excerpt(answer),
        gone_since=_gone_since(parsed) if answer.status == 410 else None,
    )
    return judge(answer, verdict, finding)


def _by_status(status: int) -> Verdict:
    return _BY_STATUS.get(status) or (_LATER if status >= 500 else _STRANGE)


def _gone_since(parsed: dict[str, Any]) -> datetime | None:
    """When APNs learned that the token is dead; the body gives milliseconds."""
    timestamp_ms = parsed.get("timestamp")
    if not isinstance(timestamp_ms, int | float):
        return None
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _is_visible(notification: IosNotification) -> bool:
    has_text = notification.title or notification.subtitle or notification.body
    return bool(has_text or notification.sound or notification.badge is not None)


def _collapse_id(message_id: str) -> str:
    """The message id where it fits into a header, else a hash of it."""
    if message_id.isascii() and message_id.isprintable() and 0 < len(message_id) <= COLLAPSE_ID_LIMIT:
        return message_id
    return blake2b(message_id.encode(), digest_size=16).hexdigest()


def _age(token: AccessToken) -> timedelta:
    return datetime.now(UTC) - token.issued_at
