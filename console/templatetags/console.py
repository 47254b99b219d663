"""Words and shapes templates need: icons, relative times, ledger bars, compact numbers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html

from console.form_fields import HEADER_FIELDS
from messaging.ledger import Ledger

register = template.Library()

_STAMP = "%Y-%m-%d %H:%M:%S UTC"
_LABEL_OF_HEADER = {field.header: f"{field.os.label} {field.label.lower()}" for field in HEADER_FIELDS}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@register.filter
def relative(moment: datetime | None) -> str:
    """`in 3 h 12 min`, `4 min ago`, `just now`."""
    if moment is None:
        return ""
    distance = moment - timezone.now()
    if abs(distance) < timedelta(seconds=2):
        return "just now"
    if distance > timedelta():
        return f"in {duration(distance)}"
    return f"{_words(-distance, units=1)} ago"


@register.filter
def duration(length: timedelta | None) -> str:
    """`3 h 12 min`: the two largest units that count."""
    return "" if length is None else _words(length, units=2)


def _words(length: timedelta, *, units: int) -> str:
    left = max(0, round(length.total_seconds()))
    words = []
    for seconds, unit in _UNITS:
        if left >= seconds:
            words.append(f"{left // seconds} {unit}")
            left %= seconds
    return " ".join(words[:units]) or "0 s"


@register.filter
def number(value: float | None) -> str:
    """`12,480`; a rate below ten keeps one decimal."""
    if value is None:
        return ""
    if isinstance(value, float) and value < 10:
        return f"{value:.1f}"
    return f"{value:,.0f}"


@register.filter
def stamp(moment: datetime | None) -> str:
    """`2026-11-22 14:05:09 UTC`."""
    return "" if moment is None else moment.strftime(_STAMP)


@register.filter
def when(moment: datetime | None) -> str:
    """The stamp as an element; the page's script adds what the reader's own clock says then."""
    if moment is None:
        return ""
    return format_html('<time datetime="{}" data-local>{}</time>', f"{moment:%Y-%m-%dT%H:%M:%SZ}", stamp(moment))


@register.filter
def header_label(name: str) -> str:
    """`Android title` for `android-content-title`: what the composer calls the header, else the header's own name."""
    return _LABEL_OF_HEADER.get(name, name)


@register.inclusion_tag("console/partials/_ledger_bar.html")
def ledger_bar(ledger: Ledger, label: str = "") -> dict[str, Any]:
    """Accepted, failed and skipped as parts of what was targeted, drawn as SVG (the policy allows no style)."""
    whole = max(ledger.targeted, 1)
    accepted = 1000 * ledger.accepted / whole
    failed = 1000 * ledger.failed / whole
    skipped = 1000 * ledger.skipped / whole
    return {
        "ledger": ledger,
        "label": label,
        "accepted": f"{accepted:.1f}",
        "failed": f"{failed:.1f}",
        "skipped": f"{skipped:.1f}",
        "failed_x": f"{accepted:.1f}",
        "skipped_x": f"{accepted + failed:.1f}",
    }


@register.inclusion_tag("console/partials/_icon.html")
def icon(name: str, label: str = "") -> dict[str, str]:
    """A symbol of `static/console/icons.svg`; without a label it is decoration."""
    return {"name": name, "label": label}
