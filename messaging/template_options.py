"""What a push template sets for each operating system, as stored in JSON columns, and the form devices keep of it.

Names and samples: the hosted console's own reply (contract.md 5). The only file that spells these names.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from messaging.providers.notifications import AndroidLights, AndroidLook, WebAction, WebLook

MAX_TTL_S = 2_419_200

_WEB_URL = re.compile(r"https?://[!-~]+")

Text = Annotated[str, Meta(max_length=1_024)]
ShortText = Annotated[str, Meta(max_length=255)]
Flag = bool | Annotated[int, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=999_999_999)]
Milliseconds = Annotated[int, Meta(ge=0, le=60_000)]
Colour = Annotated[str, Meta(pattern="^(#[0-9A-Fa-f]{6})?$")]
Headers = Annotated[dict[ShortText, str | int | float], Meta(max_length=100)]


class Cancel(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """When an Android notification goes away by itself."""

    after: Annotated[int, Meta(ge=0, le=MAX_TTL_S)] = 0  #: seconds; 0 never
    ontap: bool = True


class Lights(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The notification light, where the channel template sets none."""

    color: Colour = ""
    on_ms: Milliseconds = 0
    off_ms: Milliseconds = 0


class AndroidOptions(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`options.android`"""

    content_title: Text | None = None
    summary_sub_text: Text | None = None
    custom_headers: Headers | None = None
    badge: Annotated[int, Meta(ge=0, le=2)] = 0  #: type of icon
    badge_number: Count = 0
    icon: ShortText | None = None
    large_icon: Text | None = None
    attachment_url: Text | None = None
    color_code: Colour | None = None
    lights: Lights | None = None
    cancel: Cancel | None = None
    action_on_tap: ShortText | None = None
    content_available: Flag | None = None
    button_template: ShortText = ""
    channel_template: ShortText = ""
    direct_boot: bool = False
    delivery_priority: Annotated[str, Meta(pattern="^(normal|high)$")] = "high"
    ttl_seconds: Annotated[int, Meta(ge=0, le=MAX_TTL_S)] = MAX_TTL_S


class AppleOptions(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`options.ios` and `options.osx`"""

    alert_title: Text | None = None
    alert_subtitle: Text | None = None
    custom_headers: Headers | None = None
    badge: Count | None = None
    sound: ShortText | None = None
    attachment_url: Text | None = None
    mutable_content: Flag | None = None
    content_available: Flag | None = None
    button_template: ShortText = ""
    thread_id: ShortText | None = None
    summary_format: ShortText | None = None


class Button(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One button of a notification."""

    id: ShortText  #: Android: the Activity to open
    title: ShortText
    #: Android: 1 = inline reply; Apple's mask: 1 authentication, 2 destructive, 4 foreground
    options: Annotated[int, Meta(ge=0, le=7)] = 0
    inline_reply: bool = False
    input_button_title: ShortText = ""
    text_input_placeholder: ShortText = ""


class AndroidChannel(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Options of an Android notification channel (docs/dotnet/push_about_channel_templates)."""

    sound: ShortText = ""
    vibrate: Annotated[list[Milliseconds], Meta(max_length=20)] = []
    lights_color: Colour = ""
    lights_on_ms: Milliseconds = 0
    lights_off_ms: Milliseconds = 0
    priority: Annotated[int, Meta(ge=1, le=5)] = 3  #: importance
    show_badge: bool = True


Options = TypeVar("Options", AndroidOptions, AppleOptions, AndroidChannel)


def read_options(stored: object, shape: type[Options]) -> Options:
    """The options in a JSON column. Raises msgspec.ValidationError, which names the place."""
    return msgspec.convert(stored, shape)


def read_buttons(stored: object) -> list[Button]:
    """The buttons in a JSON column. Raises msgspec.ValidationError."""
    buttons: list[Button] = msgspec.convert(stored, Annotated[list[Button], Meta(max_length=5)])
    return buttons


def android_headers(options: AndroidOptions, channel: AndroidChannel) -> dict[str, str]:
    """The options as headers of a message."""
    return {
        **_custom(options.custom_headers),
        **_given(
            {
                "android-content-title": options.content_title,
                "android-summary-subtext": options.summary_sub_text,
                "android-content-sound": channel.sound,
            }
        ),
    }


def apple_headers(options: AppleOptions) -> dict[str, str]:
    """The options as headers of a message."""
    return {
        **_custom(options.custom_headers),
        **_given(
            {
                "ios-alert-title": options.alert_title,
                "ios-alert-subtitle": options.alert_subtitle,
                "ios-badge": None if options.badge is None else str(options.badge),
                "ios-sound": options.sound,
                "ios-content-available": "1" if options.content_available else "",
                "ios-rich-media-url": options.attachment_url,
                "ios-thread-id": options.thread_id,
            }
        ),
    }


def titled(header: str, options: AndroidOptions) -> dict[str, str]:
    """Android's texts for a platform that has no options of its own."""
    return {**_custom(options.custom_headers), **_given({header: options.content_title})}


def android_look(options: AndroidOptions, channel: AndroidChannel, channel_id: str) -> AndroidLook:
    """The options as FCM's own notifications show them, where no SDK does; buttons and the large icon they lack."""
    return AndroidLook(
        icon=options.icon or "",
        color=options.color_code or "",
        image_url=_web_url(options.attachment_url),
        channel_id=channel_id,
        importance=channel.priority if options.channel_template else 0,
        count=options.badge_number if channel.show_badge else 0,
        vibrate_ms=tuple(channel.vibrate),
        lights=_lights(options.lights or Lights(), channel),
        stays_when_tapped=options.cancel is not None and not options.cancel.ontap,
        shows_before_unlocking=options.direct_boot,
    )


def _lights(lights: Lights, channel: AndroidChannel) -> AndroidLights | None:
    color = channel.lights_color or lights.color
    on_ms, off_ms = channel.lights_on_ms or lights.on_ms, channel.lights_off_ms or lights.off_ms
    return AndroidLights(color=color, on_ms=on_ms, off_ms=off_ms) if color and on_ms else None


def web_look(options: AndroidOptions, buttons: list[Button]) -> WebLook:
    """Android's options as far as browsers know such things."""
    return WebLook(
        icon_url=_web_url(options.large_icon),
        image_url=_web_url(options.attachment_url),
        actions=tuple(WebAction(id=button.id, title=button.title) for button in buttons),
    )


def android_device_form(
    name: str, options: AndroidOptions, channel: AndroidChannel, buttons: list[Button]
) -> dict[str, Any]:
    """What Android stores under the template's name: flat, colours as numbers (Java SDK, PushTemplateHelper)."""
    cancel, lights = options.cancel or Cancel(), options.lights or Lights()
    return {
        "name": name,
        "contentTitle": options.content_title,
        "summarySubText": options.summary_sub_text,
        "badge": options.badge,
        "badgeNumber": options.badge_number,
        "showBadge": channel.show_badge,
        "priority": channel.priority,
        "colorCode": _rgb(options.color_code),
        "lightsColor": _rgb(channel.lights_color or lights.color),
        "lightsOnMs": channel.lights_on_ms or lights.on_ms,
        "lightsOffMs": channel.lights_off_ms or lights.off_ms,
        "icon": options.icon,
        "largeIcon": options.large_icon,
        "attachmentUrl": options.attachment_url,
        "sound": channel.sound or None,
        "vibrate": channel.vibrate or None,
        "cancelOnTap": cancel.ontap,
        "cancelAfter": cancel.after,
        "actionOnTap": options.action_on_tap,
        "contentAvailable": int(options.content_available or 0),
        "customHeaders": options.custom_headers or {},
        "actions": [{"id": button.id, "title": button.title, "options": button.options} for button in buttons],
    }


def apple_device_form(name: str, options: AppleOptions, buttons: list[Button]) -> dict[str, Any]:
    """What an iOS device stores under the template's name (Swift SDK, BackendlessPushHelper)."""
    return {
        "name": name,
        "alertTitle": options.alert_title,
        "alertSubtitle": options.alert_subtitle,
        "badge": options.badge,
        "sound": options.sound,
        "attachmentUrl": options.attachment_url,
        "contentAvailable": int(options.content_available or 0),
        "mutableContent": 1 if options.mutable_content is None else int(options.mutable_content),
        "threadId": options.thread_id,
        "summaryFormat": options.summary_format,
        "customHeaders": options.custom_headers or {},
        "actions": [msgspec.to_builtins(button) for button in buttons],
    }


def _given(headers: dict[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in headers.items() if text}


def _custom(headers: dict[str, str | int | float] | None) -> dict[str, str]:
    """Subscribers and devices get header values as text (contract.md 2)."""
    return {name: str(value) for name, value in (headers or {}).items()}


def _web_url(text: str | None) -> str:
    """Icons and attachments may also be named as the app's own resources, which only its SDK finds."""
    return text if text and _WEB_URL.fullmatch(text) else ""


def _rgb(colour: str | None) -> int | None:
    return int(colour[1:], 16) if colour else None
