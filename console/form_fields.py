"""What the compose form asks for: one entry per Backendless header, in the order and words of the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms.utils import flatatt
from django.utils.datastructures import MultiValueDict
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from devices.push_services import Os
from messaging import rendering

#: bytes no header can carry (HTTP and XML both), newline and tab excepted: texts may have lines
_CONTROL = {chr(code) for code in (*range(9), 11, 12, *range(14, 32), 127)}


@dataclass(frozen=True, slots=True)
class HeaderField:
    """One form field that becomes one header."""

    name: str  #: of the form field
    header: str  #: what Backendless calls it
    label: str
    os: Os
    placeholder: str = ""
    is_long: bool = False
    length: int = 1024


HEADER_FIELDS = (
    HeaderField("android_ticker", rendering.ANDROID_TICKER_TEXT, "Ticker", Os.ANDROID, "Read out by screen readers"),
    HeaderField("android_title", rendering.ANDROID_CONTENT_TITLE, "Title", Os.ANDROID),
    HeaderField("android_text", rendering.ANDROID_CONTENT_TEXT, "Text", Os.ANDROID, "The message", is_long=True),
    HeaderField("ios_title", rendering.IOS_ALERT_TITLE, "Alert title", Os.IOS),
    HeaderField("ios_subtitle", rendering.IOS_ALERT_SUBTITLE, "Alert subtitle", Os.IOS),
    HeaderField("ios_alert", rendering.IOS_ALERT, "Alert", Os.IOS, "The message", is_long=True),
    HeaderField("ios_badge", rendering.IOS_BADGE, "Badge", Os.IOS, "Unchanged", length=9),
    HeaderField("ios_sound", rendering.IOS_SOUND, "Sound", Os.IOS, "Silent", length=128),
    HeaderField("windows_title", rendering.WP_TITLE, "Title", Os.WP),
    HeaderField("windows_text", rendering.WP_CONTENT, "Text", Os.WP, "The message", is_long=True),
    HeaderField("web_title", rendering.WEB_TITLE, "Title", Os.WEB),
    HeaderField("web_text", rendering.WEB_TEXT, "Text", Os.WEB, "The message", is_long=True),
    HeaderField("web_url", rendering.WEB_URL, "Opens", Os.WEB, "https://", length=2048),
)
FIELD_OF_HEADER = {field.header: field.name for field in HEADER_FIELDS}


@dataclass(frozen=True, slots=True)
class HeaderRow:
    """One row of "extra headers", as typed."""

    name: str = ""
    value: str = ""


class PlainText(forms.CharField):
    """Text for a push: lines are kept, other control characters are an error (PostgreSQL and XML cannot hold them)."""

    def clean(self, value: Any) -> str:
        """The text with Unix line ends. Raises ValidationError."""
        text: str = super().clean(value).replace("\r\n", "\n")
        if _CONTROL & set(text):
            raise forms.ValidationError("Holds a control character, which no push service takes.")
        return text


class LongSelect(forms.Select):
    """A select of many plain names. Django draws each option by a template of its own: 600 time zones took 40 ms."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The element, its options escaped."""
        options = format_html_join(
            "",
            '<option value="{}"{}>{}</option>',
            ((choice, mark_safe(" selected") if choice == value else "", label) for choice, label in self.choices),
        )
        html_attrs = flatatt(self.build_attrs(self.attrs, {"name": name, **(attrs or {})}))
        return format_html("<select{}>{}</select>", html_attrs, options)


class HeaderRowsWidget(forms.Widget):
    """Reads any number of name/value pairs of inputs; the page draws them itself."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[HeaderRow]:
        """The rows that are not empty."""
        if not isinstance(data, MultiValueDict):
            return []
        pairs = zip(data.getlist("header_name"), data.getlist("header_value"), strict=False)
        return [HeaderRow(key.strip(), value) for key, value in pairs if key.strip() or value.strip()]


class HeaderRowsField(forms.Field):
    """Extra headers: names once each, printable, none of those the page has a field for."""

    widget = HeaderRowsWidget

    def clean(self, value: Any) -> dict[str, str]:
        """`{name: value}`. Raises ValidationError."""
        headers: dict[str, str] = {}
        for row in value or []:
            _check_row(row, headers)
            headers[row.name] = row.value
        return headers


def _check_row(row: HeaderRow, earlier: dict[str, str]) -> None:
    if not row.name:
        raise forms.ValidationError(f"A header with the value {row.value[:40]!r} has no name.")
    if len(row.name) > 128 or not row.name.isprintable() or " " in row.name:
        raise forms.ValidationError(f"{row.name[:40]!r} is no header name: no spaces, at most 128 characters.")
    if row.name in FIELD_OF_HEADER:
        raise forms.ValidationError(f"{row.name} has its own field above.")
    if row.name in earlier:
        raise forms.ValidationError(f"{row.name} is given twice.")
    if any(character < " " or character == "\x7f" for character in row.value):
        raise forms.ValidationError(f"{row.name} holds a control character.")
