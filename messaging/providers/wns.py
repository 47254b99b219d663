"""Windows Push Notification Services: build XML requests, read answers, keep the Microsoft access token.

Source: windows-dev-docs "Push notification service request and response headers", "Toast content", "Tile schema".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree

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
from messaging.providers.credentials import AccessToken, TokenStore, WnsCredential, token_kind
from messaging.providers.notifications import Notification, WindowsKind, WindowsNotification
from messaging.providers.token_endpoint import fetch_token
from messaging.providers.transport_rules import TransportRules

PAYLOAD_LIMIT = 5000
_RENEW_AT = 0.8
_SCOPE = "notify.windows.com"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_GONE = Verdict(OutcomeKind.GONE)
_PAUSE = Verdict(OutcomeKind.PAUSE)
_FAIL_MESSAGE = Verdict(OutcomeKind.FAIL_MESSAGE)
_FAIL_DEVICE = Verdict(OutcomeKind.FAIL_DEVICE)
_RETRY = Verdict(OutcomeKind.RETRY, 10.0)
_BY_STATUS: dict[int, Verdict] = {
    400: _FAIL_MESSAGE,
    401: Verdict(OutcomeKind.REAUTH),
    403: Verdict(OutcomeKind.FAIL_DEVICE, is_suspicious=True),
    404: _GONE,
    406: Verdict(OutcomeKind.RETRY, 60.0, whole_lane=True),
    410: _GONE,
    413: _FAIL_MESSAGE,
}
#: X-WNS-Status of a 200; "dropped" never reached the device.
_BY_WNS_STATUS: dict[str, tuple[Verdict, str]] = {
    "dropped": (_FAIL_DEVICE, "dropped"),
    "channelthrottled": (Verdict(OutcomeKind.RETRY, 300.0), "channelthrottled"),
}
_DOMAIN_BLOCKED = "domain blocked"


@dataclass(frozen=True, slots=True)
class WnsPrepared:
    """A payload that is the same for every device; only the channel URI differs."""

    provider: WnsProvider
    payload: bytes  #: XML, or raw content
    shared_lines: tuple[str, ...]

    def request(self, key: int, target: Target) -> HttpRequest:
        """The request for one device. Raises InvalidTarget."""
        try:
            url = canonical_push_url(target.token, self.provider.url_policy)
        except InvalidPushUrl as error:
            raise InvalidTarget(f"The stored channel URI {error.reason}.") from error
        return HttpRequest(key, url, self.provider.lines_for(self.shared_lines), self.payload)


class WnsProvider:
    """WNS for one Windows app."""

    push_service = PushService.WNS

    def __init__(
        self,
        credential: WnsCredential,
        transport: Transport,
        store: TokenStore,
        *,
        token_url: str,
        token_rules: TransportRules,
        url_policy: PushUrlPolicy,
    ) -> None:
        self.transport = transport
        self.url_policy = url_policy
        self._credential, self._store = credential, store
        self._token_url, self._token_rules = token_url, token_rules
        self._kind = token_kind("wns", credential.package_sid, credential.client_secret)
        self._token: AccessToken | None = None
        self._lines: dict[tuple[str, ...], tuple[str, ...]] = {}

    def authorize(self, *, refused: bool = False) -> None:
        """Have an access token with a fifth of its life left. Raises CredentialFault, ProviderUnavailable."""
        if refused or not _is_fresh(self._token):
            self._token = self._store.renew(self._kind, self._mint_unless_renewed)
            self._lines.clear()

    def prepare(self, notification: Notification, envelope: Envelope) -> Prepared:
        """Render once for a batch. Raises PayloadTooLarge."""
        assert isinstance(notification, WindowsNotification)
        payload = encode_payload(notification)
        if len(payload) > PAYLOAD_LIMIT:
            raise PayloadTooLarge(len(payload), PAYLOAD_LIMIT)
        self._lines.clear()
        return WnsPrepared(self, payload, header_lines(notification.kind, envelope))

    def parse(self, answer: HttpAnswer) -> PushOutcome:
        """Judge one answer; never raises."""
        return parse_answer(answer)

    def lane_key(self, target: Target) -> str:
        """The host of the channel URI; "" for a token that `request` will refuse."""
        slash = target.token.find("/", 8)
        return target.token[:slash] if target.token.startswith("https://") and slash > 0 else ""

    def lines_for(self, shared_lines: tuple[str, ...]) -> tuple[str, ...]:
        """One tuple for every request of a batch: the transport compares it by identity."""
        lines = self._lines.get(shared_lines)
        if lines is None:
            value = self._token.value if self._token else ""
            lines = self._lines[shared_lines] = (f"authorization: Bearer {value}", *shared_lines)
        return lines

    def _mint_unless_renewed(self, stored: AccessToken | None) -> AccessToken:
        was_refused = stored is not None and self._token is not None and stored.value == self._token.value
        if stored is not None and _is_fresh(stored) and not was_refused:
            return stored
        form = {
            "grant_type": "client_credentials",
            "client_id": self._credential.package_sid,
            "client_secret": self._credential.client_secret,
            "scope": _SCOPE,
        }
        return fetch_token(
            self._token_url, form, self._token_rules, owner=f"the Windows app {self._credential.package_sid}"
        )


def encode_payload(notification: WindowsNotification) -> bytes:
    """The body as it is sent and counted."""
    if notification.kind is WindowsKind.RAW:
        return notification.raw.encode()
    builders = {WindowsKind.TOAST: _toast, WindowsKind.TILE: _tile, WindowsKind.BADGE: _badge}
    root = builders[notification.kind](notification)
    encoded: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return encoded


def header_lines(kind: WindowsKind, envelope: Envelope) -> tuple[str, ...]:
    """The header lines that all devices share; the transport adds Content-Length."""
    content_type = "application/octet-stream" if kind is WindowsKind.RAW else "text/xml"
    return (
        f"content-type: {content_type}",
        f"x-wns-type: wns/{kind.value}",
        f"x-wns-ttl: {max(envelope.ttl_s, 1)}",
    )


def parse_answer(answer: HttpAnswer) -> PushOutcome:
    """Judge one answer by WNS's table of statuses; never raises."""
    if answer.failure is not None:
        return judge_failure(answer, DEVICE_HOST_FAILURES)
    description = answer.headers.get("x-wns-error-description", "")
    verdict, reason = _verdict(answer, description)
    finding = Finding(
        reason=reason,
        provider_id=answer.headers.get("x-wns-msg-id", ""),
        detail=description or ("" if 200 <= answer.status < 300 else body_excerpt(answer)),
    )
    return judge(answer, verdict, finding)


def _verdict(answer: HttpAnswer, description: str) -> tuple[Verdict, str]:
    if 200 <= answer.status < 300:
        wns_status = answer.headers.get("x-wns-status", "").strip().lower()
        return _BY_WNS_STATUS.get(wns_status, (ACCEPTED, ""))
    words = f"{description} {answer.headers.get(':reason', '')} {body_excerpt(answer)}".lower()
    if answer.status == 410 and _DOMAIN_BLOCKED in words:
        return _PAUSE, "Domain Blocked"
    verdict = _BY_STATUS.get(answer.status) or (_RETRY if answer.status >= 500 else _FAIL_DEVICE)
    return verdict, ""


def _toast(notification: WindowsNotification) -> ElementTree.Element:
    toast = ElementTree.Element("toast")
    if notification.parameter:
        toast.set("launch", _xml_text(notification.parameter))
    binding = ElementTree.SubElement(ElementTree.SubElement(toast, "visual"), "binding", template="ToastGeneric")
    _add_texts_and_image(binding, notification)
    return toast


def _tile(notification: WindowsNotification) -> ElementTree.Element:
    tile = ElementTree.Element("tile")
    visual = ElementTree.SubElement(tile, "visual")
    for template in ("TileMedium", "TileWide"):
        _add_texts_and_image(ElementTree.SubElement(visual, "binding", template=template), notification)
    return tile


def _badge(notification: WindowsNotification) -> ElementTree.Element:
    return ElementTree.Element("badge", value=_xml_text(notification.badge))


def _add_texts_and_image(binding: ElementTree.Element, notification: WindowsNotification) -> None:
    for text in filter(None, (notification.title, notification.text)):
        ElementTree.SubElement(binding, "text").text = _xml_text(text)
    if notification.image_url:
        ElementTree.SubElement(binding, "image", src=_xml_text(notification.image_url))


def _xml_text(text: str) -> str:
    """The text without the characters that XML 1.0 cannot hold, escaped or not (2.2)."""
    return _NOT_XML.sub("", text)


def _is_fresh(token: AccessToken | None) -> bool:
    return token is not None and token.life_used(datetime.now(UTC)) < _RENEW_AT
