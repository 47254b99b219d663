"""Composing: the form, its live preview, the review, and sending exactly once."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from console.models import AuditEntry, Membership
from devices.models import Application
from messaging.models import Message
from tests.console.rows import PASSWORD, address, compose_values, make_message
from tests.factories import make_registration


def reviewed(page: Client, application: Application, **changes: Any) -> dict[str, Any]:
    """The values the review page would send."""
    values = compose_values(**changes)
    html = page.post(address(application, "compose/"), values).content.decode()
    found = re.search(r'name="reviewed" value="([^"]+)"', html)
    assert found, html
    return {**values, "reviewed": found[1]}


def test_preview_counts_devices_by_operating_system(page: Client, application: Application) -> None:
    html = page.post(address(application, "compose/preview/"), compose_values()).content.decode()

    assert "Send to 5 devices" in html
    assert "Android <b>3</b>" in html
    assert "iOS <b>2</b>" in html


def test_preview_shows_the_exact_payload_and_its_bytes(page: Client, application: Application) -> None:
    html = page.post(address(application, "compose/preview/"), compose_values()).content.decode()

    assert "of 4,096 bytes" in html
    assert "android-content-title" in html
    assert "Corner Coffee" in html


def test_preview_escapes_what_was_typed(page: Client, application: Application) -> None:
    html = page.post(
        address(application, "compose/preview/"), compose_values(body="<script>alert(1)</script>", android_title="")
    ).content.decode()

    assert "<script>alert" not in html


def test_no_audience_is_chosen_at_first(page: Client, application: Application) -> None:
    html = page.get(address(application, "compose/")).content.decode()

    assert "Choose who gets it" in html
    assert 'name="audience" value="everyone" checked' not in html


def test_a_message_over_the_limit_cannot_be_sent(page: Client, application: Application) -> None:
    values = reviewed(page, application, body="x" * 5000)

    html = page.post(address(application, "compose/send/"), values).content.decode()

    assert "5" in html and "takes 4096" in html
    assert not Message.objects.exists()


def test_sending_publishes_what_was_reviewed_and_audits_it(page: Client, application: Application) -> None:
    values = reviewed(page, application)

    response = page.post(address(application, "compose/send/"), values)

    message = Message.objects.get()
    assert response["Location"] == address(application, f"messages/{message.message_id}/")
    assert message.headers == {"android-content-title": "Corner Coffee"}
    assert (message.push_broadcast, message.body, message.author.username) == (3, "Coffee is ready", "maria")
    assert AuditEntry.objects.filter(action="message.publish", subject=message.wire_id, actor="maria").exists()


def test_sending_the_same_form_twice_publishes_once(page: Client, application: Application) -> None:
    values = reviewed(page, application)

    first = page.post(address(application, "compose/send/"), values)
    second = page.post(address(application, "compose/send/"), values)

    assert first["Location"] == second["Location"]
    assert Message.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_the_same_moment_publish_once(page: Client, application: Application) -> None:
    values = reviewed(page, application)

    def click(_: int) -> str:
        browser = Client()
        browser.cookies = page.cookies
        try:
            return browser.post(address(application, "compose/send/"), values)["Location"]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        locations = set(pool.map(click, range(4)))

    assert len(locations) == 1
    assert Message.objects.count() == 1


def test_sending_without_review_shows_the_review(page: Client, application: Application) -> None:
    html = page.post(address(application, "compose/send/"), compose_values()).content.decode()

    assert "Review and confirm" in html
    assert not Message.objects.exists()


def test_an_audience_that_grew_since_the_review_is_asked_again(page: Client, application: Application) -> None:
    values = reviewed(page, application)
    make_registration(application, "IOS")

    html = page.post(address(application, "compose/send/"), values).content.decode()

    assert "changed from 5 to 6 devices" in html
    assert not Message.objects.exists()


def test_going_back_from_the_review_keeps_what_was_typed(page: Client, application: Application) -> None:
    values = compose_values(step="edit", header_name=["campaign"], header_value=["spring"])

    html = page.post(address(application, "compose/"), values).content.decode()

    assert "Coffee is ready" in html
    assert 'value="campaign"' in html


def test_a_person_without_the_right_cannot_send(page: Client, application: Application, marketer: User) -> None:
    values = reviewed(page, application)
    Membership.objects.filter(user=marketer).update(may_send=False)

    html = page.post(address(application, "compose/send/"), values).content.decode()

    assert "does not have the permission" in html
    assert not Message.objects.exists()


def test_cloning_fills_the_form_but_not_the_schedule(page: Client, application: Application) -> None:
    message = make_message(application, headers={"ios-badge": "3", "campaign": "spring"})

    html = page.get(address(application, f"compose/?from={message.message_id}")).content.decode()

    assert 'value="spring"' in html
    assert re.search(r'name="ios_badge" value="3"', html)
    assert re.search(r'name="when" value="now" checked', html)


def test_curl_says_the_same_as_the_form(page: Client, application: Application) -> None:
    html = page.post(address(application, "compose/preview/"), compose_values(body="It's here")).content.decode()

    assert "&quot;pushBroadcast&quot;: 3" in html
    assert f"/{str(application.application_id).upper()}/YOUR-REST-API-KEY/messaging/default" in html


def test_login_is_audited(client: Client, marketer: User) -> None:
    client.post("/login/", {"username": "maria", "password": "wrong"})
    client.post("/login/", {"username": "maria", "password": PASSWORD})
    client.post("/logout/")

    actions = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["session.login_failed", "session.login", "session.logout"]


def test_the_form_begins_with_the_default_channel(page: Client, application: Application) -> None:
    html = page.get(address(application, "compose/")).content.decode()

    assert '<option value="default" selected>' in html


def test_a_channel_that_is_gone_is_cloned_as_a_new_one(page: Client, application: Application) -> None:
    message = make_message(application, push_broadcast=31)
    application.channels.all().delete()

    html = page.get(address(application, f"compose/?from={message.message_id}")).content.decode()

    assert re.search(r'name="new_channel" value="default"', html)
    assert re.search(r'value="everyone" checked', html)


def test_a_form_changed_after_it_was_sent_is_another_message(page: Client, application: Application) -> None:
    page.post(address(application, "compose/send/"), reviewed(page, application))
    changed = reviewed(page, application, body="Tea is ready")

    page.post(address(application, "compose/send/"), changed)

    assert sorted(Message.objects.values_list("body", flat=True)) == ["Coffee is ready", "Tea is ready"]
