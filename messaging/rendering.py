"""Turn a message's body and headers into what a device of one operating system shows; pure.

Header names are Backendless's (seed 0, JS-SDK publish-options-header.js); `web-*` and `ios-thread-id` are ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from devices.push_services import Os
from messaging.providers.notifications import (
    AndroidNotification,
    AndroidStyle,
    IosNotification,
    Notification,
    WebNotification,
    WindowsKind,
    WindowsNotification,
)

ANDROID_TICKER_TEXT = "android-ticker-text"
ANDROID_CONTENT_TITLE = "android-content-title"
ANDROID_CONTENT_TEXT = "android-content-text"
ANDROID_SUMMARY_SUBTEXT = "android-summary-subtext"
ANDROID_CONTENT_SOUND = "android-content-sound"
ANDROID_ACTION = "android-action"
IOS_ALERT = "ios-alert"
IOS_ALERT_TITLE = "ios-alert-title"
IOS_ALERT_SUBTITLE = "ios-alert-subtitle"
IOS_ALERT_BODY = "ios-alert-body"
IOS_BADGE = "ios-badge"
IOS_SOUND = "ios-sound"
IOS_CONTENT_AVAILABLE = "ios-content-available"
IOS_RICH_MEDIA_URL = "ios-rich-media-url"
IOS_THREAD_ID = "ios-thread-id"
WP_TYPE = "wp-type"
WP_TITLE = "wp-title"
WP_SUBTITLE = "wp-subtitle"
WP_CONTENT = "wp-content"
WP_PARAMETER = "wp-parameter"
WP_BACKGROUND_IMAGE = "wp-backgroundImage"
WP_BADGE = "wp-badge"
WP_COUNT = "wp-count"
WP_RAW = "wp-raw"
WEB_TITLE = "web-title"
WEB_TEXT = "web-text"
WEB_ICON = "web-icon"
WEB_IMAGE = "web-image"
WEB_BADGE = "web-badge"
WEB_URL = "web-url"

_OS_PREFIXES = {Os.ANDROID: "android-", Os.IOS: "ios-", Os.WP: "wp-", Os.WEB: "web-"}
_PLATFORM_PREFIXES = tuple(_OS_PREFIXES.values())
#: FCM refuses the whole message for one of these data keys ("About FCM messages", data messages).
_FCM_RESERVED = re.compile(r"from|message_type|gcm.*|google.*")
_YES = frozenset({"1", "true"})
_NO = frozenset({"", "0", "false"})
_SCHEME = re.compile(r"([^/?#]*):")
_CONTROL_OR_SPACE = re.compile(r"[\x00-\x20\x7f]")
_WINDOWS_IMAGE_SCHEMES = frozenset({"http", "https", "ms-appx", "ms-appdata"})
_WEB_SCHEMES = frozenset({"http", "https"})
#: "Badge XML schema", windows-dev-docs: a number or one of these glyphs.
_WINDOWS_GLYPHS = frozenset(
    {"none", "activity", "alarm", "alert", "attention", "available", "away", "busy", "error", "newMessage", "paused"}
    | {"playing", "unavailable"}
)


class InvalidHeader(ValueError):
    """A header's value cannot be expressed on the platform it is for."""

    def __init__(self, header: str, reason: str) -> None:
        super().__init__(f"Header {header} {reason}.")
        self.header, self.reason = header, reason


def render(
    body: object, headers: Mapping[str, str], os: Os, *, message_id: str, android_style: AndroidStyle
) -> Notification:
    """What devices of this `os` get. `body` is any JSON value. Raises InvalidHeader."""
    message = _Message(body_text(body), headers, message_id)
    if os is Os.ANDROID:
        return _android(message, android_style)
    if os is Os.WP:
        return _windows(message)
    if os is Os.WEB:
        return _web(message)
    return _ios(message)


def body_text(body: object) -> str:
    """The body as people read it: text as it is, nothing for null, anything else as compact JSON."""
    if body is None:
        return ""
    return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def headers_name_os(headers: Mapping[str, str]) -> tuple[Os, ...]:
    """The operating systems that headers are given for (`ios-*` names iOS alone)."""
    return tuple(os for os, prefix in _OS_PREFIXES.items() if any(name.startswith(prefix) for name in headers))


@dataclass(frozen=True, slots=True)
class _Message:
    text: str
    headers: Mapping[str, str]
    message_id: str

    def first(self, *names: str, default: str = "") -> str:
        """The first of these headers that is there and not empty."""
        return next((self.headers[name] for name in names if self.headers.get(name)), default)

    def custom(self) -> dict[str, str]:
        """The app's own headers, and the id to report back with."""
        own = {name: text for name, text in self.headers.items() if not name.startswith(_PLATFORM_PREFIXES)}
        return {**own, "messageId": self.message_id}

    def url(self, name: str, schemes: frozenset[str]) -> str:
        """A URL header; a relative one is the app's own affair. Raises InvalidHeader."""
        url = self.first(name)
        if _CONTROL_OR_SPACE.search(url):
            raise InvalidHeader(name, "must be a URL without spaces")
        scheme = _SCHEME.match(url)
        if scheme and scheme[1].lower() not in schemes:
            raise InvalidHeader(name, f"must be a relative URL or begin with {' or '.join(sorted(schemes))}")
        return url


def _android(message: _Message, style: AndroidStyle) -> AndroidNotification:
    for name in message.headers:
        if _FCM_RESERVED.fullmatch(name):
            raise InvalidHeader(name, "has a name that FCM keeps for itself, so it cannot go to Android devices")
    return AndroidNotification(
        title=message.first(ANDROID_CONTENT_TITLE),
        text=message.first(ANDROID_CONTENT_TEXT, default=message.text),
        ticker=message.first(ANDROID_TICKER_TEXT),
        subtext=message.first(ANDROID_SUMMARY_SUBTEXT),
        sound=message.first(ANDROID_CONTENT_SOUND),
        click_action=message.first(ANDROID_ACTION),
        style=style,
        data={**message.headers, "message": message.text, "messageId": message.message_id},
    )


def _ios(message: _Message) -> IosNotification:
    if "aps" in message.headers:
        raise InvalidHeader("aps", "has a name that APNs keeps for itself, so it cannot go to iOS devices")
    custom = message.custom()
    # The Swift SDK's notification extension reads these beside `aps` (contract.md 4).
    for header, key in (
        (IOS_ALERT_TITLE, IOS_ALERT_TITLE),
        (IOS_ALERT_SUBTITLE, IOS_ALERT_SUBTITLE),
        (IOS_RICH_MEDIA_URL, "attachment-url"),
    ):
        if message.first(header):
            custom[key] = message.first(header)
    return IosNotification(
        title=message.first(IOS_ALERT_TITLE),
        subtitle=message.first(IOS_ALERT_SUBTITLE),
        body=message.first(IOS_ALERT_BODY, IOS_ALERT, default=message.text),
        badge=_ios_badge(message),
        sound=message.first(IOS_SOUND),
        content_available=_content_available(message),
        mutable_content=bool(message.first(IOS_RICH_MEDIA_URL)),
        thread_id=message.first(IOS_THREAD_ID),
        custom=custom,
    )


def _ios_badge(message: _Message) -> int | None:
    badge = message.first(IOS_BADGE).strip()
    if not badge:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", badge):
        raise InvalidHeader(IOS_BADGE, "must be a whole number, 0 or more")
    return int(badge)


def _content_available(message: _Message) -> bool:
    flag = message.first(IOS_CONTENT_AVAILABLE).strip().lower()
    if flag not in _YES | _NO:
        raise InvalidHeader(IOS_CONTENT_AVAILABLE, "must be 1 or 0")
    return flag in _YES


def _windows(message: _Message) -> WindowsNotification:
    try:
        kind = WindowsKind(message.first(WP_TYPE, default="toast").lower())
    except ValueError as error:
        raise InvalidHeader(WP_TYPE, "must be TOAST, TILE, BADGE or RAW") from error
    return WindowsNotification(
        kind=kind,
        title=message.first(WP_TITLE),
        text=message.first(WP_CONTENT, WP_SUBTITLE, default=message.text),
        parameter=message.first(WP_PARAMETER),
        image_url=message.url(WP_BACKGROUND_IMAGE, _WINDOWS_IMAGE_SCHEMES),
        badge=_windows_badge(message, kind),
        raw=message.first(WP_RAW, default=message.text),
    )


def _windows_badge(message: _Message, kind: WindowsKind) -> str:
    badge = message.first(WP_BADGE, WP_COUNT).strip()
    if not badge and kind is WindowsKind.BADGE:
        raise InvalidHeader(WP_BADGE, "must be given for a badge notification")
    if badge and badge not in _WINDOWS_GLYPHS and not re.fullmatch(r"[0-9]{1,9}", badge):
        header = WP_BADGE if message.first(WP_BADGE) else WP_COUNT
        raise InvalidHeader(header, "must be a whole number or the name of a Windows badge glyph")
    return badge


def _web(message: _Message) -> WebNotification:
    return WebNotification(
        title=message.first(WEB_TITLE),
        body=message.first(WEB_TEXT, default=message.text),
        icon_url=message.url(WEB_ICON, _WEB_SCHEMES),
        image_url=message.url(WEB_IMAGE, _WEB_SCHEMES),
        badge_url=message.url(WEB_BADGE, _WEB_SCHEMES),
        url=message.url(WEB_URL, _WEB_SCHEMES),
        tag=message.message_id,
        data=message.custom(),
    )
