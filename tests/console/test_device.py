"""The page of one device: what it was sent and, for the rest, why not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from devices.models import Application, DeviceRegistration, RegistrationState
from messaging import database
from messaging.models import Batch, Message, Occurrence
from tests.console.rows import address, make_delivery, make_done, make_message, make_sending
from tests.factories import make_application, make_registration


@pytest.fixture
def phone(application: Application) -> DeviceRegistration:
    """Kim's Android phone in the channel "default"."""
    return make_registration(application, device_id="kims-phone")


def page_of(page: Client, device: DeviceRegistration) -> str:
    """The device's page."""
    return page.get(address(device.application, f"devices/{device.pk}/")).content.decode()


def sent(application: Application, **values: object) -> Occurrence:
    """A message to everyone that went out after every device had registered."""
    occurrence = make_done(make_message(application, **values))
    occurrence.audience_bound = 2**31
    occurrence.claimed_at = database.now()
    occurrence.save()
    return occurrence


def test_an_accepted_message_is_shown_with_the_push_services_id(page: Client, phone: DeviceRegistration) -> None:
    make_delivery(sent(phone.application), phone)

    html = page_of(page, phone)

    assert "Accepted by FCM" in html
    assert "provider-id" in html


def test_a_failure_is_shown_in_plain_words(page: Client, phone: DeviceRegistration) -> None:
    make_delivery(sent(phone.application), phone, "gone", "UNREGISTERED")

    assert "The app was removed from the device" in page_of(page, phone)


def test_a_device_whose_turn_has_not_come_waits(page: Client, phone: DeviceRegistration) -> None:
    occurrence = make_sending(make_message(phone.application))
    Batch.objects.filter(occurrence=occurrence).update(registration_ids=[phone.pk])

    assert "Waiting" in page_of(page, phone)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"push_broadcast": 1}, "It was not meant for Android."),
        ({"channel_name": "news"}, "The device does not listen to the channel news."),
        ({"segment_query": "plan = 'gold'"}, "The device was not in its segment."),
    ],
)
def test_a_message_that_was_not_for_the_device_says_why(
    page: Client, phone: DeviceRegistration, values: dict[str, object], why: str
) -> None:
    channel_name = values.pop("channel_name", "default")
    message = sent(phone.application, **values).message
    Message.objects.filter(pk=message.pk).update(channel_name=channel_name)

    html = page_of(page, phone)

    assert "Not sent to it" in html
    assert why in html


def test_a_device_that_registered_later_or_was_inactive_says_so(page: Client, phone: DeviceRegistration) -> None:
    occurrence = sent(phone.application)
    Occurrence.objects.filter(pk=occurrence.pk).update(audience_bound=phone.pk - 1)
    assert "The device registered later." in page_of(page, phone)

    Occurrence.objects.filter(pk=occurrence.pk).update(audience_bound=phone.pk)
    DeviceRegistration.objects.filter(pk=phone.pk).update(
        state=RegistrationState.GONE, gone_reason="Unregistered", gone_at=database.now() - timedelta(hours=1)
    )
    assert "UTC: Unregistered." in page_of(page, phone)


def test_messages_to_other_devices_by_name_are_left_out(page: Client, phone: DeviceRegistration) -> None:
    sent(phone.application, body="Tea for Lee", push_singlecast=["lees-phone"], push_broadcast=None)
    sent(phone.application, body="Tea for Kim", push_singlecast=["kims-phone"], push_broadcast=None)

    html = page_of(page, phone)

    assert "Tea for Lee" not in html
    assert "Tea for Kim" in html


def test_a_device_of_another_application_is_not_shown(page: Client, phone: DeviceRegistration) -> None:
    foreign = make_registration(make_application("Another Shop"))

    assert page.get(address(phone.application, f"devices/{foreign.pk}/")).status_code == 404


def test_a_campaign_for_the_device_begins_with_its_id(page: Client, phone: DeviceRegistration) -> None:
    html = page.get(address(phone.application, f"compose/?device={phone.pk}")).content.decode()

    assert 'value="devices" checked' in html
    assert "kims-phone</textarea>" in html


def test_a_search_for_a_device_that_was_left_out_leads_to_its_page(page: Client, phone: DeviceRegistration) -> None:
    message = sent(phone.application, push_broadcast=1).message

    html = page.get(
        address(phone.application, f"messages/{message.message_id}/deliveries/?device=kims-phone"),
        headers={"HX-Request": "true"},
    ).content.decode()

    assert address(phone.application, f"devices/{phone.pk}/") in html
    assert "Its page says why" in html


def test_the_devices_page_says_how_many_there_are(page: Client, phone: DeviceRegistration) -> None:
    DeviceRegistration.objects.filter(pk=phone.pk).update(state=RegistrationState.GONE)

    first = page.get(address(phone.application, "devices/")).content.decode()
    counts = page.get(address(phone.application, "devices/counts/")).content.decode()

    assert f'hx-get="{address(phone.application, "devices/counts/")}" hx-trigger="load"' in first
    assert "<b>6</b> active" in counts
    assert "Android <b>3</b>" in counts
    assert "gone <b>1</b>" in counts
