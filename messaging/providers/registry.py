"""Make the provider of a push service, and show what it would send without one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from devices.push_services import PushService
from devices.push_urls import DEFAULT_ALLOWED_SUFFIXES, PushUrlPolicy
from messaging.providers import apns, fcm, webpush, wns
from messaging.providers.base import Envelope, Provider
from messaging.providers.credentials import (
    ApnsCredential,
    FcmCredential,
    TokenStore,
    WebPushCredential,
    WnsCredential,
)
from messaging.providers.http_transport import HttpTransport
from messaging.providers.notifications import (
    AndroidNotification,
    IosNotification,
    Notification,
    WebNotification,
    WindowsKind,
    WindowsNotification,
)
from messaging.providers.transport_rules import TransportRules

_JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEndpoints:
    """Where the push services are: the real ones, or the simulators."""

    fcm_url: str = "https://fcm.googleapis.com"
    google_token_url: str = "https://oauth2.googleapis.com/token"  # noqa: S105  # an address
    apns_url: str = "https://api.push.apple.com"
    apns_sandbox_url: str = "https://api.sandbox.push.apple.com"
    wns_token_url: str = "https://login.live.com/accesstoken.srf"  # noqa: S105  # an address
    ca_file: str | None = None  #: PEM file that replaces the system's trust store
    allow_loopback: bool = False  #: simulators only
    allowed_suffixes: tuple[str, ...] = DEFAULT_ALLOWED_SUFFIXES  #: hosts that devices may name

    @property
    def url_policy(self) -> PushUrlPolicy:
        """The gate for URLs that devices supplied."""
        return PushUrlPolicy(self.allowed_suffixes, self.allow_loopback)

    def rules(self, **changes: Any) -> TransportRules:
        """Transport rules for these endpoints."""
        return TransportRules(ca_file=self.ca_file, allow_loopback=self.allow_loopback, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadPreview:
    """The payload a device would get, as people read it."""

    text: str  #: indented JSON or XML
    size: int  #: bytes that count against the limit
    limit: int
    content_type: str


def make_provider(
    push_service: PushService, credential_json: Mapping[str, Any], endpoints: ProviderEndpoints, store: TokenStore
) -> Provider:
    """The provider for a credential as `set_credential` takes it. Raises InvalidCredential."""
    return _MAKERS[push_service](credential_json, endpoints, store)


def preview_payload(push_service: PushService, notification: Notification, envelope: Envelope) -> PayloadPreview:
    """What would be sent, too large or not (`size > limit` tells)."""
    return _PREVIEWS[push_service](notification, envelope)


def _make_fcm(source: Mapping[str, Any], endpoints: ProviderEndpoints, store: TokenStore) -> Provider:
    return fcm.FcmProvider(
        FcmCredential.from_json(source),
        HttpTransport(endpoints.rules()),
        store,
        base_url=endpoints.fcm_url,
        token_url=endpoints.google_token_url,
        token_rules=endpoints.rules(http1=True),
    )


def _make_apns(source: Mapping[str, Any], endpoints: ProviderEndpoints, store: TokenStore) -> Provider:
    credential = ApnsCredential.from_json(source)
    base_url = endpoints.apns_url if credential.environment == "production" else endpoints.apns_sandbox_url
    return apns.ApnsProvider(credential, HttpTransport(endpoints.rules(warm_up=True)), store, base_url=base_url)


def _make_wns(source: Mapping[str, Any], endpoints: ProviderEndpoints, store: TokenStore) -> Provider:
    return wns.WnsProvider(
        WnsCredential.from_json(source),
        HttpTransport(endpoints.rules(http1=True)),
        store,
        token_url=endpoints.wns_token_url,
        token_rules=endpoints.rules(http1=True),
        url_policy=endpoints.url_policy,
    )


def _make_webpush(source: Mapping[str, Any], endpoints: ProviderEndpoints, _store: TokenStore) -> Provider:
    credential = WebPushCredential.from_json(source)
    return webpush.WebPushProvider(credential, HttpTransport(endpoints.rules(http1=True)), endpoints.url_policy)


_MAKERS: dict[PushService, Callable[[Mapping[str, Any], ProviderEndpoints, TokenStore], Provider]] = {
    PushService.FCM: _make_fcm,
    PushService.APNS: _make_apns,
    PushService.WNS: _make_wns,
    PushService.WEBPUSH: _make_webpush,
}


def _preview_fcm(notification: Notification, envelope: Envelope) -> PayloadPreview:
    assert isinstance(notification, AndroidNotification)
    message = fcm.build_message(notification, envelope)
    text = _indented({"message": {**message, "token": "<device token>"}})
    return PayloadPreview(text=text, size=fcm.payload_size(message), limit=fcm.PAYLOAD_LIMIT, content_type=_JSON)


def _preview_apns(notification: Notification, _envelope: Envelope) -> PayloadPreview:
    assert isinstance(notification, IosNotification)
    size = len(apns.encode_payload(notification))
    text = _indented(apns.build_payload(notification))
    return PayloadPreview(text=text, size=size, limit=apns.PAYLOAD_LIMIT, content_type=_JSON)


def _preview_wns(notification: Notification, _envelope: Envelope) -> PayloadPreview:
    assert isinstance(notification, WindowsNotification)
    payload = wns.encode_payload(notification)
    if notification.kind is WindowsKind.RAW:
        text, content_type = payload.decode(), "application/octet-stream"
    else:
        root = ElementTree.fromstring(payload)  # noqa: S314  # our own output
        ElementTree.indent(root)
        text, content_type = ElementTree.tostring(root, encoding="unicode"), "text/xml"
    return PayloadPreview(text=text, size=len(payload), limit=wns.PAYLOAD_LIMIT, content_type=content_type)


def _preview_webpush(notification: Notification, _envelope: Envelope) -> PayloadPreview:
    assert isinstance(notification, WebNotification)
    payload = webpush.encode_payload(notification)
    text = _indented(json.loads(payload))
    return PayloadPreview(text=text, size=len(payload), limit=webpush.PAYLOAD_LIMIT, content_type=_JSON)


_PREVIEWS: dict[PushService, Callable[[Notification, Envelope], PayloadPreview]] = {
    PushService.FCM: _preview_fcm,
    PushService.APNS: _preview_apns,
    PushService.WNS: _preview_wns,
    PushService.WEBPUSH: _preview_webpush,
}


def _indented(payload: object) -> str:
    return json.dumps(payload, ensure_ascii=False, indent=2)
