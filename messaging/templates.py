"""A push template as one message carries it: a snapshot, so that later edits change nothing that is under way; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from devices.push_services import Os
from messaging.providers.notifications import (
    AndroidLook,
    AndroidNotification,
    AndroidStyle,
    IosNotification,
    Notification,
    WebLook,
    WebNotification,
)
from messaging.rendering import body_text
from messaging.smart_text import SmartText, compile_text
from messaging.template_options import MAX_TTL_S


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSnapshot:
    """What a template adds to a message. Kept as JSON with it."""

    name: str  #: "" for one that was not saved: the devices then get the whole form instead of its name
    values: dict[str, str] = field(default_factory=dict)  #: `templateValues` of the call
    headers: dict[Os, dict[str, str]] = field(default_factory=dict)  #: by operating system, smart text
    forms: dict[Os, dict[str, Any]] = field(default_factory=dict)  #: what devices keep of it, without a name only
    ttl_s: int = MAX_TTL_S  #: of Android notifications
    is_urgent: bool = True
    is_silent: bool = False  #: Android shows nothing, the app alone learns of it
    android: AndroidLook = AndroidLook()
    ios_category: str = ""
    web: WebLook = WebLook()

    def to_json(self) -> dict[str, Any]:
        """For the message's column."""
        stored: dict[str, Any] = msgspec.to_builtins(self)
        return stored

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> TemplateSnapshot:
        """Out of the message's column."""
        return msgspec.convert(stored, cls)


@dataclass(frozen=True, slots=True)
class SmartMessage:
    """Body and headers for one operating system, the values of the call in place."""

    body: SmartText
    headers: tuple[tuple[str, SmartText], ...]

    @property
    def names(self) -> frozenset[str]:
        """Values that differ between devices."""
        return self.body.names.union(*(text.names for _, text in self.headers))

    def sample(self) -> tuple[str, dict[str, str]]:
        """Body and headers for people and for measuring."""
        return self.body.sample(), {name: text.sample() for name, text in self.headers}

    def render(self, values: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """Body and headers for one device. Raises MissingValue, RenderedTooLong."""
        return self.body.render(values), {name: text.render(values) for name, text in self.headers}


def smart_message(body: object, template: TemplateSnapshot, os: Os) -> SmartMessage:
    """What devices of this operating system get."""
    headers = template.headers.get(os, {})
    return SmartMessage(
        compile_text(body_text(body)).bind(template.values),
        tuple((name, compile_text(text).bind(template.values)) for name, text in headers.items()),
    )


def adorn(notification: Notification, template: TemplateSnapshot) -> Notification:
    """The notification with the template's icon, buttons and the like: as the vendor's SDKs read it, and as apps
    without an SDK do, as far as their platform knows such things.

    For an SDK a saved template is named, and looked up in the device's own store; of any other the whole form goes
    along (contract.md 4). `mutable-content` wakes the extension that does this on iOS.
    """
    if isinstance(notification, AndroidNotification):
        return _adorn_android(notification, template)
    if isinstance(notification, IosNotification):
        keys = _keys(template, Os.IOS, "ios_immediate_push")
        custom = {**notification.custom, **keys}
        return replace(notification, mutable_content=True, category=template.ios_category, custom=custom)
    if isinstance(notification, WebNotification):
        icon_url = notification.icon_url or template.web.icon_url
        image_url = notification.image_url or template.web.image_url
        return replace(notification, icon_url=icon_url, image_url=image_url, actions=template.web.actions)
    return notification


def _adorn_android(notification: AndroidNotification, template: TemplateSnapshot) -> AndroidNotification:
    return replace(
        notification,
        style=AndroidStyle.DATA if template.is_silent else notification.style,
        look=template.android,
        is_urgent=template.is_urgent,
        data={**notification.data, **_keys(template, Os.ANDROID, "android_immediate_push")},
    )


def _keys(template: TemplateSnapshot, os: Os, immediate: str) -> dict[str, str]:
    if template.name:
        return {"template_name": template.name}
    return {immediate: msgspec.json.encode(template.forms.get(os, {})).decode()}
