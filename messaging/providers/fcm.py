"""Firebase Cloud Messaging, HTTP v1: build messages, read answers, keep the Google access token.

Source: Firebase "FCM HTTP v1 API" (messages:send, ErrorCode), "Scale FCM" (retry rules).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
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
from messaging.providers.credentials import AccessToken, FcmCredential, TokenStore, token_kind
from messaging.providers.jwt import sign_rs256
from messaging.providers.notifications import AndroidLights, AndroidNotification, AndroidStyle, Notification
from messaging.providers.token_endpoint import fetch_token
from messaging.providers.transport_rules import TransportRules

#: "Maximum message payload": keys and values together.
PAYLOAD_LIMIT = 4096
MAX_TTL_S = 2_419_200
_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_RENEW_AT = 0.8
_TOKEN = re.compile(r"[A-Za-z0-9_:.\-]{1,4096}")
_MESSAGE_NAME = re.compile(rb'"name"\s*:\s*"([^"\\]{1,256})"')
_UNREGISTERED_TOKEN_WORDS = "not a valid FCM registration token"  # noqa: S105  # words of an answer
_TOKEN_FIELD = "message.token"  # noqa: S105  # name of a field
_PRIORITIES = {
    1: "PRIORITY_MIN",
    2: "PRIORITY_LOW",
    3: "PRIORITY_DEFAULT",
    4: "PRIORITY_HIGH",
    5: "PRIORITY_MAX",
}

_PAUSE = Verdict(OutcomeKind.PAUSE)
_REAUTH = Verdict(OutcomeKind.REAUTH)
_FAIL_MESSAGE = Verdict(OutcomeKind.FAIL_MESSAGE)
#: What nobody documented, such as a redirect, is an answer of something in between as likely as the device's fault.
_STRANGE = Verdict(OutcomeKind.FAIL_DEVICE, is_suspicious=True)
_RETRY = Verdict(OutcomeKind.RETRY, 10.0, at_least_s=10.0)
_THROTTLED = Verdict(OutcomeKind.RETRY, 60.0, whole_lane=True)
_REFUSED_TOKEN = Verdict(OutcomeKind.SUSPECT, is_suspicious=True)

#: By FcmError.errorCode and the status it comes with; a code under another status is judged by status.
_BY_CODE: dict[tuple[int, str], Verdict] = {
    (400, "INVALID_ARGUMENT"): _FAIL_MESSAGE,
    (404, "UNREGISTERED"): Verdict(OutcomeKind.GONE),
    (403, "SENDER_ID_MISMATCH"): Verdict(OutcomeKind.FAIL_DEVICE, is_suspicious=True),
    (401, "THIRD_PARTY_AUTH_ERROR"): _PAUSE,
    (401, "APNS_AUTH_ERROR"): _PAUSE,
    (429, "QUOTA_EXCEEDED"): _THROTTLED,
    (503, "UNAVAILABLE"): _RETRY,
    (500, "INTERNAL"): _RETRY,
}
#: 404 without an FcmError is a wrong project or a proxy's page: it says nothing about the device.
_BY_STATUS: dict[int, Verdict] = {
    400: _FAIL_MESSAGE,
    401: _REAUTH,
    403: _PAUSE,
    404: _PAUSE,
    413: _FAIL_MESSAGE,
    429: _THROTTLED,
}


@dataclass(frozen=True, slots=True)
class FcmPrepared:
    """A message split where the device token belongs."""

    provider: FcmProvider
    url: str
    head: bytes
    tail: bytes

    @property
    def payload(self) -> bytes:
        """The message without a token."""
        return self.head + self.tail

    def request(self, key: int, target: Target) -> HttpRequest:
        """The request for one device. Raises InvalidTarget."""
        if not _TOKEN.fullmatch(target.token):
            raise InvalidTarget("The stored token holds characters that FCM tokens do not have.")
        return HttpRequest(key, self.url, self.provider.header_lines, self.head + target.token.encode() + self.tail)


class FcmProvider:
    """FCM for one Firebase project."""

    push_service = PushService.FCM

    def __init__(
        self,
        credential: FcmCredential,
        transport: Transport,
        store: TokenStore,
        *,
        base_url: str,
        token_url: str,
        token_rules: TransportRules,
    ) -> None:
        self.transport = transport
        self.header_lines: tuple[str, ...] = ()
        self._credential, self._store = credential, store
        self._url = f"{base_url}/v1/projects/{credential.project_id}/messages:send"
        self._token_url, self._token_rules = token_url, token_rules
        self._kind = token_kind("fcm", credential.client_email, credential.private_key_id)
        self._token: AccessToken | None = None

    def authorize(self, *, refused: bool = False) -> None:
        """Have an access token with a fifth of its life left. Raises CredentialFault, ProviderUnavailable."""
        if refused or not _is_fresh(self._token):
            self._use(self._store.renew(self._kind, self._mint_unless_renewed))

    def prepare(self, notification: Notification, envelope: Envelope) -> Prepared:
        """Render once for a batch. Raises PayloadTooLarge."""
        assert isinstance(notification, AndroidNotification)
        message = build_message(notification, envelope)
        size = payload_size(message)
        if size > PAYLOAD_LIMIT:
            raise PayloadTooLarge(size, PAYLOAD_LIMIT)
        encoded = json.dumps({"message": message}, ensure_ascii=False, separators=(",", ":")).encode()
        return FcmPrepared(self, self._url, encoded[:-2] + b',"token":"', b'"}}')

    def parse(self, answer: HttpAnswer) -> PushOutcome:
        """Judge one answer; never raises."""
        return parse_answer(answer)

    def lane_key(self, target: Target) -> str:
        """One project, one lane."""
        return ""

    def _use(self, token: AccessToken) -> None:
        self._token = token
        # One tuple for every request until the token changes: the transport compares it by identity.
        self.header_lines = (f"authorization: Bearer {token.value}", "content-type: application/json")

    def _mint_unless_renewed(self, stored: AccessToken | None) -> AccessToken:
        was_refused = stored is not None and self._token is not None and stored.value == self._token.value
        if stored is not None and _is_fresh(stored) and not was_refused:
            return stored
        return fetch_token(
            self._token_url,
            {"grant_type": _GRANT_TYPE, "assertion": self._assertion()},
            self._token_rules,
            owner=f"the service account {self._credential.client_email}",
        )

    def _assertion(self) -> str:
        now = int(datetime.now(UTC).timestamp())
        claims: dict[str, str | int] = {
            "iss": self._credential.client_email,
            "scope": _SCOPE,
            "aud": self._token_url,
            "iat": now,
            "exp": now + 3600,
        }
        return sign_rs256(self._credential.private_key, claims, key_id=self._credential.private_key_id)


def build_message(notification: AndroidNotification, envelope: Envelope) -> dict[str, Any]:
    """The `message` object without its token.

    High priority unless asked otherwise, because the SDK shows data messages itself and must be woken from Doze for it.
    """
    priority = "high" if notification.is_urgent else "normal"
    android: dict[str, Any] = {"priority": priority, "ttl": f"{min(max(envelope.ttl_s, 0), MAX_TTL_S)}s"}
    if notification.look.shows_before_unlocking:
        android["direct_boot_ok"] = True
    message: dict[str, Any] = {"android": android}
    if notification.style is not AndroidStyle.NOTIFICATION:
        message["data"] = notification.data
    if notification.style is not AndroidStyle.DATA:
        message["notification"] = _present(title=notification.title, body=notification.text)
        android["notification"] = _android_notification(notification, envelope)
    return message


def _android_notification(notification: AndroidNotification, envelope: Envelope) -> dict[str, Any]:
    """What Android shows beyond title and body ("REST Resource: projects.messages", AndroidNotification)."""
    look = notification.look
    return _present(
        ticker=notification.ticker,
        sound=notification.sound,
        # With the tag a notification that is sent twice replaces itself on the screen.
        tag=envelope.message_id,
        click_action=notification.click_action,
        icon=look.icon,
        color=look.color,
        image=look.image_url,
        channel_id=look.channel_id,
        notification_priority=_PRIORITIES.get(look.importance, ""),
        notification_count=look.count,
        vibrate_timings=[_duration(pause) for pause in look.vibrate_ms],
        light_settings=None if look.lights is None else _light_settings(look.lights),
        sticky=look.stays_when_tapped,
    )


def _light_settings(lights: AndroidLights) -> dict[str, Any]:
    """google.type.Color has parts from 0 to 1."""
    red, green, blue = (round(part / 255, 3) for part in bytes.fromhex(lights.color.removeprefix("#")))
    return {
        "color": {"red": red, "green": green, "blue": blue, "alpha": 1},
        "light_on_duration": _duration(lights.on_ms),
        "light_off_duration": _duration(lights.off_ms),
    }


def _duration(milliseconds: int) -> str:
    return f"{milliseconds / 1000:g}s"


def payload_size(message: Mapping[str, Any]) -> int:
    """Bytes of all keys and values that count against the limit."""
    parts = (message.get("data", {}), message.get("notification", {}), message["android"].get("notification", {}))
    return sum(len(key.encode()) + _size(content) for part in parts for key, content in part.items())


def _size(content: object) -> int:
    return len((content if isinstance(content, str) else json.dumps(content)).encode())


def parse_answer(answer: HttpAnswer) -> PushOutcome:
    """Judge one answer by the table of FCM's error codes; never raises."""
    if answer.failure is not None:
        return judge_failure(answer, FIXED_HOST_FAILURES)
    if 200 <= answer.status < 300:
        name = _MESSAGE_NAME.search(answer.body)
        accepted = Finding(provider_id=name[1].decode("utf-8", "replace") if name else "")
        return judge(answer, ACCEPTED, accepted)
    error = json_object(answer.body).get("error")
    if not isinstance(error, dict):
        return judge(answer, _by_status(answer.status), Finding(detail=body_excerpt(answer)))
    return _judge_error(answer, error)


def _judge_error(answer: HttpAnswer, error: Mapping[str, Any]) -> PushOutcome:
    details = [detail for detail in _list(error.get("details")) if isinstance(detail, dict)]
    code = next((text_of(detail, "errorCode") for detail in details if "errorCode" in detail), "")
    message = text_of(error, "message")
    fields = [text_of(violation, "field") for detail in details for violation in _violations(detail)]
    reason = code or text_of(error, "status")
    is_token_refused = _TOKEN_FIELD in fields or _UNREGISTERED_TOKEN_WORDS in message
    if answer.status == 400 and reason in ("INVALID_ARGUMENT", "") and is_token_refused:
        return judge(answer, _REFUSED_TOKEN, Finding(reason="INVALID_ARGUMENT token", detail=message))
    verdict = _BY_CODE.get((answer.status, code)) or _by_status(answer.status)
    named = ", ".join(name for name in fields if name)
    return judge(answer, verdict, Finding(reason=reason, detail=f"{named}: {message}" if named else message))


def _by_status(status: int) -> Verdict:
    return _BY_STATUS.get(status) or (_RETRY if status >= 500 else _STRANGE)


def _violations(detail: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [violation for violation in _list(detail.get("fieldViolations")) if isinstance(violation, dict)]


def _list(member: object) -> list[Any]:
    return member if isinstance(member, list) else []


def _present(**members: Any) -> dict[str, Any]:
    return {name: member for name, member in members.items() if member}


def _is_fresh(token: AccessToken | None) -> bool:
    return token is not None and token.life_used(datetime.now(UTC)) < _RENEW_AT
