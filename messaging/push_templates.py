"""Push from a template: find it, fill in the values of the call, publish; and the form devices keep of templates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devices import segment_query
from devices.errors import InvalidSegmentQuery
from devices.models import Application
from devices.push_services import Os, OsMask
from messaging.errors import UnknownPushTemplate
from messaging.models import PublishPolicy
from messaging.publishing import PublishRequest
from messaging.smart_text import MissingValue, RenderedTooLong, compile_text
from messaging.template_models import AndroidChannelTemplate, ButtonPlatform, ButtonTemplate, PushTemplate
from messaging.template_options import (
    AndroidChannel,
    AndroidOptions,
    AppleOptions,
    Button,
    android_device_form,
    android_headers,
    android_look,
    apple_device_form,
    apple_headers,
    read_buttons,
    read_options,
    titled,
    web_look,
)
from messaging.templates import TemplateSnapshot

_QUOTED = re.compile(r"('(?:[^']|'')*')")
#: a text, a number and a moment
_ANY_VALUE = "1"


@dataclass(frozen=True, slots=True)
class _Parts:
    """What an application's templates refer to by name."""

    channels: Mapping[str, AndroidChannel]
    buttons: Mapping[tuple[str, str], list[Button]]


def template_named(application: Application, name: str) -> PushTemplate:
    """Raises UnknownPushTemplate."""
    template = PushTemplate.objects.select_related("application").filter(application=application, name=name).first()
    if template is None:
        raise UnknownPushTemplate(f"There is no push template named '{name[:128]}'.")
    return template


def request_from_template(template: PushTemplate, values: Mapping[str, str]) -> PublishRequest:
    """The message of a push: text, operating systems, channel and segment are the template's.

    Raises InvalidSegmentQuery.
    """
    snapshot = snapshot_of(template, dict(values))
    return PublishRequest(
        channel_name=template.channel_name,
        body=template.message,
        headers={key: text for headers in snapshot.headers.values() for key, text in headers.items()},
        publish_policy=PublishPolicy.PUSH,
        push_broadcast=OsMask.of(Os(os) for os in template.platforms) if template.platforms else OsMask.ALL,
        segment_query=fill_query(template.segment_query, values),
        template=snapshot,
    )


def fill_query(query: str, values: Mapping[str, str]) -> str:
    """The where clause with the values of the call in place: text inside quotes stays inside them.

    Raises InvalidSegmentQuery, also where a value is missing: a segment is one for all devices.
    """
    quoted = {name: value.replace("'", "''") for name, value in values.items()}
    try:
        filled = "".join(
            compile_text(piece).render(quoted) if is_quoted else piece for piece, is_quoted in _quoted_pieces(query)
        ).strip()
    except (MissingValue, RenderedTooLong) as error:
        raise InvalidSegmentQuery(f"The template's segment query cannot be filled in: {error}") from error
    if filled:
        segment_query.check(filled)
    return filled


def check_query(query: str) -> None:
    """Before it is saved: whatever the values of a call, it has to become a segment. Raises InvalidSegmentQuery."""
    names = (compile_text(piece).names for piece, is_quoted in _quoted_pieces(query) if is_quoted)
    fill_query(query, dict.fromkeys(frozenset().union(*names), _ANY_VALUE))


def _quoted_pieces(query: str) -> list[tuple[str, bool]]:
    """The pieces in turn outside and inside quotes; a doubled quote is inside."""
    return [(piece, position % 2 == 1) for position, piece in enumerate(_QUOTED.split(query))]


def snapshot_of(template: PushTemplate, values: dict[str, str]) -> TemplateSnapshot:
    """What the message carries of the template."""
    parts = _parts(template.application)
    android = read_options(template.android, AndroidOptions)
    channel = parts.channels.get(android.channel_template, AndroidChannel())
    # iOS and macOS are one push service: the options of macOS count where it is meant alone
    apple = read_options(template.osx if template.platforms == [Os.OSX] else template.ios, AppleOptions)
    return TemplateSnapshot(
        name=template.name,
        values=values,
        headers={
            Os.ANDROID: android_headers(android, channel),
            Os.IOS: apple_headers(apple),
            # the template has no options of their own for these
            Os.WP: titled("wp-title", android),
            Os.WEB: titled("web-title", android),
        },
        ttl_s=android.ttl_seconds,
        is_urgent=android.delivery_priority == "high",
        is_silent=bool(android.content_available),
        android=android_look(android, channel, _channel_id(template)),
        ios_category=apple.button_template,
        web=web_look(android, parts.buttons.get((ButtonPlatform.ANDROID, android.button_template), [])),
    )


def _channel_id(template: PushTemplate) -> str:
    """What the vendor's Android SDK calls the channel it makes of a template (contract.md 4)."""
    return f"{str(template.application.application_id).upper()}:{template.name}" if template.name else ""


def device_forms(application: Application, os: Os) -> dict[str, dict[str, Any]]:
    """The templates for an operating system, by name, in the form its SDK stores; none for those without a form."""
    if os not in (Os.ANDROID, Os.IOS, Os.OSX):
        return {}
    parts = _parts(application)
    templates = PushTemplate.objects.filter(application=application)
    return {
        template.name: _device_form(template, os, parts)
        for template in templates
        if not template.platforms or os in template.platforms
    }


def _device_form(template: PushTemplate, os: Os, parts: _Parts) -> dict[str, Any]:
    if os is Os.ANDROID:
        android = read_options(template.android, AndroidOptions)
        channel = parts.channels.get(android.channel_template, AndroidChannel())
        buttons = parts.buttons.get((ButtonPlatform.ANDROID, android.button_template), [])
        return android_device_form(template.name, android, channel, buttons)
    apple = read_options(template.osx if os is Os.OSX else template.ios, AppleOptions)
    return apple_device_form(template.name, apple, parts.buttons.get((ButtonPlatform.IOS, apple.button_template), []))


def _parts(application: Application) -> _Parts:
    channels = AndroidChannelTemplate.objects.filter(application=application)
    buttons = ButtonTemplate.objects.filter(application=application)
    return _Parts(
        {row.name: read_options(row.options, AndroidChannel) for row in channels},
        {(row.platform, row.name): read_buttons(row.buttons) for row in buttons},
    )
