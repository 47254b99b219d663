"""The devices of a firing as CSV (RFC 4180), line by line, so that a million of them need no memory."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace

from console.pages_deliveries import DeliveryFilter, DeliveryRow, delivery_page
from devices.models import Application
from messaging.models import Occurrence

#: rows read at once
_AT_ONCE = 1_000
_COLUMNS = (
    "device_id",
    "user_id",
    "push_service",
    "outcome",
    "reason",
    "http_status",
    "requests",
    "provider_id",
    "detail",
    "finished_at",
)
#: what spreadsheets take for the beginning of a formula
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class _Line:
    """What `csv.writer` writes to: gives the line back."""

    def write(self, line: str) -> str:
        """The line itself."""
        return line


def delivery_lines(
    application: Application, occurrence: Occurrence, wanted: DeliveryFilter, at_once: int = _AT_ONCE
) -> Iterator[str]:
    """The heading and a line for each device that the filter lets through, in the order of the page."""
    writer = csv.writer(_Line())
    yield writer.writerow(_COLUMNS)
    while True:
        page = delivery_page(application, occurrence, wanted, limit=at_once)
        yield "".join(writer.writerow(_cells(row)) for row in page.rows)
        if page.next_after is None:
            return
        wanted = replace(wanted, after=page.next_after, batch=page.next_batch)


def _cells(row: DeliveryRow) -> list[str | int]:
    delivery, registration = row.delivery, row.registration
    texts = [
        registration.device_id if registration is not None else "",
        registration.user_id if registration is not None else "",
        delivery.push_service,
        row.outcome or "waiting",
        delivery.reason,
    ]
    ended = f"{delivery.finished_at:%Y-%m-%dT%H:%M:%SZ}" if delivery.finished_at else ""
    return [
        *map(_harmless, texts),
        delivery.http_status or "",
        row.requests,
        _harmless(delivery.provider_id),
        _harmless(delivery.detail),
        ended,
    ]


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
