"""The record of what people did, as everybody who may open the application reads it."""

from __future__ import annotations

from django.test import Client

from console.models import AuditEntry
from devices.models import Application
from tests.console.rows import address, make_message
from tests.factories import make_application


def record(application: Application, action: str, subject: str, actor: str = "maria", after: object = None) -> None:
    """One entry."""
    AuditEntry.objects.create(
        application_id=application.pk, action=action, subject=subject, actor=actor, address="192.0.2.7", after=after
    )


def test_the_record_says_who_did_what_and_leads_to_the_message(page: Client, application: Application) -> None:
    message = make_message(application)
    record(application, "message.pause", message.wire_id, after={"state": "paused"})

    html = page.get(address(application, "activity/")).content.decode()

    assert "<strong>maria</strong> paused" in html
    assert ">Coffee is ready</a>" in html
    assert f'href="{address(application, f"messages/{message.message_id}/")}"' in html
    assert "192.0.2.7" in html
    assert "&quot;state&quot;: &quot;paused&quot;" in html


def test_what_was_done_in_another_application_is_not_shown(page: Client, application: Application) -> None:
    record(make_application("Another Shop"), "lane.pause", "FCM of theirs")

    assert "FCM of theirs" not in page.get(address(application, "activity/")).content.decode()


def test_the_record_is_searched_by_person_and_by_what_it_was_done_to(page: Client, application: Application) -> None:
    record(application, "device.deactivate", "kims-phone", actor="lee")
    record(application, "lane.pause", "FCM")

    by_person = page.get(address(application, "activity/?q=lee")).content.decode()
    by_device = page.get(address(application, "activity/?q=kims-phone")).content.decode()

    for html in (by_person, by_device):
        assert "kims-phone" in html
        assert "sending through" not in html


def test_a_long_record_is_read_page_by_page(page: Client, application: Application) -> None:
    for number in range(51):
        record(application, "device.deactivate", f"phone-{number:02}")

    first = page.get(address(application, "activity/"))
    html = first.content.decode()
    assert "phone-50" in html and "phone-00" not in html

    older = page.get(address(application, f"activity/?before={first.context['page'].next_before}")).content.decode()
    assert "phone-00" in older and "phone-50" not in older
