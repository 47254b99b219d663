"""The devices of a firing as a file for a spreadsheet."""

from __future__ import annotations

import csv

import pytest
from django.test import Client

from console import exports
from console.models import AuditEntry
from console.pages_deliveries import DeliveryFilter
from devices.models import Application
from messaging.models import Batch, Message, Occurrence
from tests.console.rows import address, make_delivery, make_done, make_message, make_sending
from tests.factories import make_registration


@pytest.fixture
def sent(application: Application) -> Occurrence:
    """A firing with two accepted devices and a dead one."""
    occurrence = make_done(make_message(application))
    for device_id in ("kims-phone", "lees-phone"):
        make_delivery(occurrence, make_registration(application, device_id=device_id))
    make_delivery(occurrence, make_registration(application, device_id="=HYPERLINK(1)"), "gone", "UNREGISTERED")
    return occurrence


def exported(page: Client, message: Message, query: str = "") -> list[dict[str, str]]:
    """The rows of the file."""
    answer = page.get(address(message.application, f"messages/{message.message_id}/deliveries.csv{query}"))
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith("attachment; filename=")
    return list(csv.DictReader(b"".join(answer).decode().splitlines()))


def test_the_file_holds_every_device_with_its_outcome(page: Client, sent: Occurrence) -> None:
    rows = exported(page, sent.message)

    assert [row["device_id"] for row in rows[:2]] == ["kims-phone", "lees-phone"]
    assert [row["outcome"] for row in rows] == ["accepted", "accepted", "gone"]
    assert (rows[0]["provider_id"], rows[2]["reason"]) == ("provider-id", "UNREGISTERED")
    assert rows[0]["finished_at"].endswith("Z")


def test_the_file_holds_what_the_filter_of_the_table_lets_through(page: Client, sent: Occurrence) -> None:
    assert [row["reason"] for row in exported(page, sent.message, "?outcome=gone")] == ["UNREGISTERED"]


def test_no_cell_is_taken_for_a_formula(page: Client, sent: Occurrence) -> None:
    assert exported(page, sent.message, "?outcome=gone")[0]["device_id"] == "'=HYPERLINK(1)"


def test_devices_that_wait_are_exported_too(page: Client, application: Application) -> None:
    occurrence = make_sending(make_message(application))
    device = make_registration(application, device_id="kims-phone")
    Batch.objects.filter(occurrence=occurrence).update(registration_ids=[device.pk])

    (row,) = exported(page, occurrence.message, "?outcome=waiting")

    assert (row["device_id"], row["outcome"], row["finished_at"]) == ("kims-phone", "waiting", "")


def test_a_long_table_is_written_in_several_reads_and_each_device_once(
    application: Application, sent: Occurrence
) -> None:
    lines = list(exports.delivery_lines(application, sent, DeliveryFilter(), at_once=2))

    assert len(lines) == 3
    assert [line.split(",")[0] for line in "".join(lines[1:]).splitlines()] == [
        "kims-phone",
        "lees-phone",
        "'=HYPERLINK(1)",
    ]


def test_an_export_is_recorded(page: Client, sent: Occurrence) -> None:
    exported(page, sent.message, "?outcome=gone")

    entry = AuditEntry.objects.get(action="message.export")
    assert (entry.actor, entry.subject, entry.after) == ("maria", sent.message.wire_id, {"outcome": "gone"})


def test_the_message_page_offers_the_file_with_the_filter_of_the_table(page: Client, sent: Occurrence) -> None:
    html = page.get(address(sent.message.application, f"messages/{sent.message.message_id}/?outcome=gone")).content

    assert b"deliveries.csv?n=1&amp;retry=0&amp;device=&amp;outcome=gone" in html
