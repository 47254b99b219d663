"""What pages show of messages, devices and providers, in a number of queries that does not grow with the rows."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from console.models import AuditEntry
from console.pages_deliveries import DeliveryPage
from devices.models import Application
from devices.push_services import PushService
from messaging import heartbeat
from messaging.models import Batch, Lane, LaneState, Message, MessageStatus
from tests.console.rows import address, make_delivery, make_done, make_message, make_occurrence, make_sending
from tests.factories import make_application, make_registration


def queries(page: Client, path: str) -> int:
    """Queries of one page load."""
    with CaptureQueriesContext(connection) as captured:
        assert page.get(path).status_code == 200
    return len(captured)


def fill(application: Application, rows: int) -> Message:
    """Messages in every state, devices with channels, outcomes; the last finished message."""
    for _ in range(rows):
        make_occurrence(make_message(application))
        make_sending(make_message(application))
        make_registration(application, "ANDROID", ("default", "news"))
        message = make_message(application, status=MessageStatus.PUBLISHED)
        make_done(message)
    occurrence = message.occurrences.get()
    for number, registration in enumerate(application.registrations.all()):
        make_delivery(occurrence, registration, "gone" if number % 2 else "accepted", "UNREGISTERED" * (number % 2))
    return message


@pytest.mark.parametrize("name", ["", "compose/", "messages/", "messages/{message}/", "devices/", "providers/"])
def test_more_rows_cost_no_more_queries(page: Client, application: Application, name: str) -> None:
    few = fill(application, 1)
    page.get(address(application))  # the first request of a session notes its beginning
    before = queries(page, address(application, name.format(message=few.message_id)))

    many = fill(application, 4)

    assert queries(page, address(application, name.format(message=many.message_id))) == before


def test_the_ledger_adds_up_while_sending(page: Client, application: Application) -> None:
    message = make_message(application)
    make_sending(message, targeted=10, accepted=4, failed=1)

    html = page.get(address(application, f"messages/{message.message_id}/")).content.decode()

    for word, number in (("targeted", 10), ("pending", 5), ("accepted", 4), ("failed", 1), ("skipped", 0)):
        assert f'data-ledger="{word}">{number}<' in html


def test_polling_goes_on_until_nothing_is_pending(page: Client, application: Application) -> None:
    moving, finished = make_message(application), make_message(application, status=MessageStatus.PUBLISHED)
    make_sending(moving)
    make_done(finished)

    answers = [
        page.get(address(application, f"messages/{message.message_id}/progress/"), headers={"HX-Request": "true"})
        for message in (moving, finished)
    ]

    assert [answer.status_code for answer in answers] == [200, 286]
    assert b"every 1s" in answers[0].content
    assert b"every 1s" not in answers[1].content


def test_failures_say_what_they_mean(page: Client, application: Application) -> None:
    message = make_message(application, status=MessageStatus.PUBLISHED)
    occurrence = make_done(message)
    make_delivery(occurrence, application.registrations.all()[0], "gone", "UNREGISTERED")

    html = page.get(address(application, f"messages/{message.message_id}/")).content.decode()

    assert "UNREGISTERED" in html
    assert "The app was removed from the device" in html


def test_devices_are_found_by_the_beginning_of_their_id_and_by_reason(page: Client, application: Application) -> None:
    message = make_message(application, status=MessageStatus.PUBLISHED)
    occurrence = make_done(message)
    gone = make_registration(application, device_id="kitchen-1")
    make_delivery(occurrence, gone, "gone", "UNREGISTERED")
    make_delivery(occurrence, make_registration(application, device_id="kitchen-2"))
    make_delivery(occurrence, make_registration(application, device_id="garden-1"))
    path = address(application, f"messages/{message.message_id}/deliveries/")

    by_id = page.get(path, {"device": "kitchen"}, headers={"HX-Request": "true"}).content.decode()
    by_reason = page.get(path, {"reason": "UNREGISTERED"}, headers={"HX-Request": "true"}).content.decode()

    assert ("kitchen-1" in by_id, "kitchen-2" in by_id, "garden-1" in by_id) == (True, True, False)
    assert ("kitchen-1" in by_reason, "kitchen-2" in by_reason) == (True, False)


def test_devices_without_an_outcome_are_listed_as_waiting_page_by_page(page: Client, application: Application) -> None:
    message = make_message(application)
    occurrence = make_sending(message)
    devices = [make_registration(application, device_id=f"tv-{number:02}") for number in range(60)]
    for part, state in ((devices[:10], "done"), (devices[10:40][::-1], "sending"), (devices[40:], "waiting")):
        ids = [device.pk for device in part]
        Batch.objects.create(
            occurrence=occurrence, push_service="fcm", registration_ids=ids, targeted=len(ids), state=state
        )
    for device in devices[:12]:
        make_delivery(occurrence, device)
    path = address(application, f"messages/{message.message_id}/deliveries/")
    htmx = {"HX-Request": "true"}

    first = page.get(path, {"outcome": "waiting"}, headers=htmx)
    shown = _table(first)
    place = {"after": str(shown.next_after), "batch": str(shown.next_batch)}
    second = page.get(path, {"outcome": "waiting", **place}, headers=htmx)
    found = page.get(path, {"outcome": "waiting", "device": "tv-1"}, headers=htmx)

    assert _shown(first) + _shown(second) == [device.device_id for device in devices[12:]]
    assert _shown(found) == [f"tv-{number}" for number in range(12, 20)]
    assert "batch=" in first.content.decode()
    assert _table(second).next_after is None


def _table(answer: Any) -> DeliveryPage:
    page = answer.context["deliveries"]
    assert isinstance(page, DeliveryPage)
    return page


def _shown(answer: Any) -> list[str]:
    return [row.registration.device_id for row in _table(answer).rows if row.registration]


def test_a_small_channel_is_listed_in_the_order_of_the_other_pages(page: Client, application: Application) -> None:
    for number in range(3):
        make_registration(application, "IOS" if number else "ANDROID", ("default", "tea"), device_id=f"cup-{number}")
    make_registration(application, device_id="cup-9")

    def listed(**asked: str) -> list[str]:
        wanted = {"channel": "tea"} | asked
        answer: Any = page.get(address(application, "devices/"), wanted)
        return [device.device_id for device in answer.context["page"].devices]

    assert listed() == ["cup-0", "cup-1", "cup-2"]
    assert listed(os="IOS") == ["cup-1", "cup-2"]
    assert listed(q="cup-1") == ["cup-1"]
    assert listed(state="gone") == []
    assert listed(channel="nowhere") == []


def test_a_partly_failed_message_is_not_called_failed(page: Client, application: Application) -> None:
    make_done(make_message(application, status=MessageStatus.PUBLISHED), accepted=9, failed=1)

    assert "Done, partly failed" in page.get(address(application, "messages/")).content.decode()


@pytest.mark.parametrize(
    ("status", "shown"),
    [("sending", {"b"}), ("scheduled", {"a"}), ("done", {"c"}), ("failed", set()), ("all", set("abc"))],
)
def test_messages_are_listed_by_status(page: Client, application: Application, status: str, shown: set[str]) -> None:
    make_occurrence(make_message(application, "text a"))
    make_sending(make_message(application, "text b"))
    make_done(make_message(application, "text c", status=MessageStatus.PUBLISHED))

    html = page.get(address(application, "messages/"), {"status": status}).content.decode()

    assert {letter for letter in "abc" if f"text {letter}" in html} == shown


def test_messages_are_found_by_text_and_by_id(page: Client, application: Application) -> None:
    wanted = make_message(application, "Spring sale")
    make_message(application, "Opening hours")

    for search in ("spring", wanted.wire_id):
        html = page.get(address(application, "messages/"), {"q": search}).content.decode()
        assert ("Spring sale" in html, "Opening hours" in html) == (True, False)


@pytest.mark.parametrize("search", ["Früh", "50%", "it's", "a\\b", "&", "' | x", "<->", "sale spr", "default"])
def test_no_search_is_an_error_and_words_are_found_by_their_beginning(
    page: Client, application: Application, search: str
) -> None:
    make_message(application, "Spring sale: 50% off, it's früh")

    answer = page.get(address(application, "messages/"), {"q": search})

    found = b"Spring sale" in answer.content
    assert answer.status_code == 200
    assert found == (search in ("Früh", "50%", "it's", "sale spr", "default"))


def test_the_device_table_refreshes_while_sending_on_its_first_page_alone(
    page: Client, application: Application
) -> None:
    message, finished = make_message(application), make_message(application, status=MessageStatus.PUBLISHED)
    make_sending(message)
    make_done(finished)
    path = address(application, f"messages/{message.message_id}/deliveries/")
    htmx = {"HX-Request": "true"}

    assert b"every 2s" in page.get(path, headers=htmx).content
    assert b"every 2s" not in page.get(path, {"after": 5}, headers=htmx).content
    done = address(application, f"messages/{finished.message_id}/deliveries/")
    assert b"every 2s" not in page.get(done, headers=htmx).content


def test_the_list_goes_on_where_the_page_ended(page: Client, application: Application) -> None:
    for number in range(51):
        make_message(application, f"message number {number:02}")

    first = page.get(address(application, "messages/"))
    older = page.get(address(application, "messages/"), {"before": first.context["page"].next_before})

    assert len(first.context["page"].rows) == 50
    assert [row.text for row in older.context["page"].rows] == ["message number 00"]


@pytest.mark.parametrize(
    "query", ["before=x", "before=99999999999999999999", "status=none", "q=%00", "after=-1", "n=0"]
)
def test_an_edited_address_is_no_error(page: Client, application: Application, query: str) -> None:
    message = make_message(application)

    for name in ("messages/", "devices/", f"messages/{message.message_id}/"):
        assert page.get(address(application, f"{name}?{query}")).status_code == 200


def test_cancelling_is_confirmed_done_and_audited(page: Client, application: Application) -> None:
    message = make_message(application)
    make_occurrence(message)
    path = address(application, f"messages/{message.message_id}/")

    assert b"No device gets it" in page.get(f"{path}confirm-cancel/").content
    page.post(f"{path}cancel/")

    message.refresh_from_db()
    assert message.status == MessageStatus.CANCELLED
    assert b"It was cancelled before anything left." in page.get(path).content
    assert AuditEntry.objects.filter(action="message.cancel", subject=message.wire_id, actor="maria").count() == 1
    assert b"nothing to cancel" in page.post(f"{path}cancel/", follow=True).content


def test_a_paused_lane_says_why_and_is_resumed(page: Client, application: Application) -> None:
    lane = Lane.objects.create(
        application=application, push_service=PushService.APNS, state=LaneState.PAUSED, paused_because="Key revoked."
    )

    assert b"Key revoked." in page.get(address(application, "providers/")).content
    page.post(address(application, f"providers/lanes/{lane.pk}/resume/"))

    lane.refresh_from_db()
    assert lane.state == LaneState.OPEN
    assert AuditEntry.objects.filter(action="lane.resume").get().before["because"] == "Key revoked."


def test_waiting_messages_without_workers_raise_a_banner(page: Client, application: Application) -> None:
    make_sending(make_message(application))

    assert b"No worker: 1 message waiting" in page.get(address(application)).content


def test_simulated_providers_are_labelled(page: Client, application: Application) -> None:
    Application.objects.update(is_simulated=True)
    message = make_message(application)
    make_sending(message)

    for name in ("", "compose/", f"messages/{message.message_id}/", "devices/", "providers/"):
        assert b'class="sim"' in page.get(address(application, name)).content


def test_health_reports_the_ages_of_heartbeats(client: Client, db: None) -> None:
    assert client.get("/health").status_code == 503

    heartbeat.announce("a", kind="workers", workers=2)
    heartbeat.announce("b", kind="ticker")

    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["database"] == "ok"
    assert set(answer.json()["seconds_since_heartbeat"]) == {"ticker", "workers"}


def test_every_page_of_a_section_marks_it_in_the_navigation(page: Client, application: Application) -> None:
    message = make_message(application)
    device = application.registrations.first()
    assert device is not None

    for path, section in ((f"messages/{message.message_id}/", "messages/"), (f"devices/{device.pk}/", "devices/")):
        html = page.get(address(application, path)).content.decode()
        assert html.count(f'href="{address(application, section)}" aria-current="page"') == 2


def test_the_api_page_shows_whoever_came_from_an_application_their_own_address(
    page: Client, application: Application
) -> None:
    own = page.get(f"/api/docs?application={application.application_id}").content.decode()
    foreign = page.get(f"/api/docs?application={make_application('Another Shop').application_id}").content.decode()

    assert f"/{str(application.application_id).upper()}/API-KEY" in own
    assert "/APPLICATION-ID/API-KEY" in foreign


def test_what_is_skipped_shows_no_request(page: Client, application: Application) -> None:
    message = make_message(application)
    occurrence = make_done(message)
    make_delivery(occurrence, make_registration(application), "cancelled")

    html = page.get(address(application, f"messages/{message.message_id}/")).content.decode()

    assert 'data-label="Requests">0<' in html


def test_a_message_for_a_segment_is_not_listed_as_for_everyone(page: Client, application: Application) -> None:
    make_message(application, push_broadcast=31, segment_query="plan = 'gold'")

    assert "Everyone in the channel, only a segment" in page.get(address(application, "messages/")).content.decode()


def test_the_message_page_shows_what_people_saw(page: Client, application: Application) -> None:
    message = make_message(application, headers={"ios-alert-title": "Corner Coffee"})

    html = page.get(address(application, f"messages/{message.message_id}/")).content.decode()

    assert "note-ios" in html
    assert '<dt title="ios-alert-title">iOS alert title</dt>' in html
