"""Test sends from the composer: to the devices that are named, at once, and with the push service's own answer."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from console.models import Membership
from devices.models import Application
from messaging.models import Message
from tests.console.rows import address, compose_values, make_delivery, make_done, make_message, make_occurrence
from tests.factories import make_registration


def send_test(page: Client, application: Application, **changes: Any) -> str:
    """What the composer shows after "Send a test"."""
    values = compose_values(**{"trial_devices": "kims-phone", "trial_token": "1", **changes})
    answer = page.post(address(application, "compose/test/"), values, headers={"HX-Request": "true"})
    return answer.content.decode()


def test_a_test_goes_to_the_named_devices_now_whatever_the_form_says_of_audience_and_time(
    page: Client, application: Application
) -> None:
    make_registration(application, device_id="kims-phone")

    html = send_test(page, application, audience="", oses=[], when="later", send_on="", requests_per_second="1")

    message = Message.objects.get()
    assert (message.push_singlecast, message.push_broadcast, message.publish_at) == (["kims-phone"], None, None)
    assert (message.publish_policy, message.body) == ("PUSH", "Coffee is ready")
    assert message.headers == {"android-content-title": "Corner Coffee"}
    assert "On its way" in html
    assert f'hx-get="{address(application, f"compose/test/{message.message_id}/")}" hx-trigger="every 1s"' in html


def test_a_second_click_sends_no_second_test_but_the_next_test_is_another_one(
    page: Client, application: Application
) -> None:
    send_test(page, application)
    send_test(page, application)
    html = send_test(page, application, trial_token="2")

    assert Message.objects.count() == 2
    assert re.search(r'name="trial_token" value="[0-9a-f]{32}"', html)


def test_the_answer_of_the_push_service_is_shown_for_each_device(page: Client, application: Application) -> None:
    phone = make_registration(application, device_id="kims-phone")
    old = make_registration(application, "IOS", device_id="old-phone")
    message = make_message(
        application,
        publisher_id="console-test",
        push_singlecast=["kims-phone", "old-phone", "nobodys"],
        push_broadcast=None,
    )
    occurrence = make_done(message)
    make_delivery(occurrence, phone)
    make_delivery(occurrence, old, "gone", "Unregistered")

    html = page.get(address(application, f"compose/test/{message.message_id}/")).content.decode()

    assert "Accepted by FCM" in html
    assert "The app was removed from the device" in html
    assert "No device is registered with this id." in html
    assert "every 1s" not in html


def test_a_test_to_nobody_or_to_a_crowd_is_refused(page: Client, application: Application) -> None:
    assert "Name a device" in send_test(page, application, trial_devices=" , ")
    assert "11 devices; a test goes to 10 at most" in send_test(
        page, application, trial_devices=" ".join(f"phone-{number}" for number in range(11))
    )
    assert not Message.objects.exists()


def test_a_test_of_a_message_with_a_mistake_is_refused(page: Client, application: Application) -> None:
    assert "Mend the message first" in send_test(page, application, ios_badge="many")
    assert "takes 4096" in send_test(page, application, body="x" * 5000)
    assert not Message.objects.exists()


def test_the_devices_of_the_last_test_are_offered_for_the_next_campaign(page: Client, application: Application) -> None:
    send_test(page, application, trial_devices="kims-phone lees-phone")

    html = page.get(address(application, "compose/")).content.decode()

    assert 'name="trial_devices" value="kims-phone, lees-phone"' in html


def test_without_htmx_the_composer_comes_back_with_the_answer_and_all_that_was_typed(
    page: Client, application: Application
) -> None:
    values = compose_values(trial_devices="kims-phone", trial_token="1", step="test")

    html = page.post(address(application, "compose/"), values).content.decode()

    assert "No device is registered with this id." in html
    assert "Coffee is ready</textarea>" in html


def test_a_test_of_a_scheduled_message_does_not_change_it(page: Client, application: Application) -> None:
    message = make_message(application)
    make_occurrence(message)
    values = compose_values(body="Tea", trial_devices="kims-phone", trial_token="1", step="test", seen_version="1")

    page.post(address(application, f"messages/{message.message_id}/edit/"), values)

    message.refresh_from_db()
    assert message.body == "Coffee is ready"
    assert Message.objects.get(publisher_id="console-test").body == "Tea"


def test_whoever_may_not_send_may_not_test(page: Client, application: Application, marketer: User) -> None:
    Membership.objects.filter(user=marketer).update(may_send=False)

    assert "does not have the permission" in send_test(page, application)
    assert not Message.objects.exists()


def test_a_test_creates_no_channel(page: Client, application: Application) -> None:
    send_test(page, application, channel="", new_channel="spring")

    assert Message.objects.get().channel_name == "default"
    assert not application.channels.filter(name="spring").exists()


def test_the_list_tells_tests_from_campaigns(page: Client, application: Application) -> None:
    send_test(page, application)

    assert "Test, 1 named device" in page.get(address(application, "messages/")).content.decode()


def test_a_campaign_is_not_shown_as_a_test(page: Client, application: Application) -> None:
    message = make_message(application)
    make_done(message)

    assert page.get(address(application, f"compose/test/{message.message_id}/")).status_code == 404


def test_the_record_tells_a_test_from_a_campaign(page: Client, application: Application) -> None:
    send_test(page, application)

    html = page.get(address(application, "activity/")).content.decode()

    assert "tested on a few devices" in html
    assert "published" not in html
