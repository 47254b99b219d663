"""Composing in a real browser: the preview follows the keys, focus stays, the form works without JavaScript."""

from __future__ import annotations

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from devices.models import Application
from messaging.models import Message
from tests.console.rows import PASSWORD, address
from tests.e2e.watched import axe_violations
from tests.factories import make_application, make_registration

DRAFTS = "Object.keys(sessionStorage).filter((key) => key.startsWith('clarion-draft')).length"


@pytest.fixture
def application(transactional_db: None) -> Application:
    """Three devices in the channel "default"."""
    application = make_application("Corner Coffee")
    for os in ("ANDROID", "ANDROID", "IOS"):
        make_registration(application, os)
    return application


def test_a_campaign_is_composed_reviewed_and_sent_once(page: Page, application: Application) -> None:
    page.goto(address(application, "compose/"))
    page.get_by_label("By operating system").check()
    page.get_by_label("Android", exact=True).check()
    page.get_by_label("iOS", exact=True).check()
    page.locator("#id_body").fill("Coffee is ready")
    page.locator("#id_android_title").fill("Corner Coffee")

    expect(page.locator("#compose-live")).to_contain_text("Corner Coffee")
    expect(page.locator(".note-android .title")).to_have_text("Corner Coffee")
    expect(page.locator(".note-ios")).to_contain_text("Coffee is ready")
    page.get_by_role("button", name="Send to 3 devices").click()
    page.get_by_role("heading", name="Review and confirm").wait_for()
    assert axe_violations(page) == []
    page.get_by_role("button", name="Send to 3 devices").dblclick()

    page.wait_for_url("**/messages/*/")
    expect(page.get_by_role("heading", name="Coffee is ready")).to_be_visible()
    assert Message.objects.count() == 1


def test_what_was_written_survives_a_session_that_ended(page: Page, application: Application) -> None:
    page.goto(address(application, "compose/"))
    page.get_by_label("Everyone in this channel").check()
    page.locator("#id_body").fill("Coffee\nis ready")
    page.get_by_role("button", name="Send to 3 devices").click()
    Session.objects.all().delete()
    page.get_by_role("button", name="Send to 3 devices").click()
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    page.get_by_role("button", name="Go on with it").click()
    expect(page.locator("#id_body")).to_have_value("Coffee\nis ready")
    page.get_by_role("button", name="Send to 3 devices").click()
    page.get_by_role("button", name="Send to 3 devices").click()
    page.wait_for_url("**/messages/*/")

    page.goto(address(application, "compose/"))
    expect(page.locator("#id_body")).to_have_value("")
    expect(page.locator("#draft")).to_be_hidden()
    assert Message.objects.get().body == "Coffee\nis ready"


def test_signing_out_leaves_no_draft_to_the_next_person(page: Page, application: Application) -> None:
    page.goto(address(application, "compose/"))
    page.locator("#id_body").fill("Coffee is ready")
    page.wait_for_function(DRAFTS)

    page.locator("details.menu summary").last.click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login/**")

    assert page.evaluate(DRAFTS) == 0


def test_the_focus_and_the_cursor_stay_while_the_preview_changes(page: Page, application: Application) -> None:
    page.goto(address(application, "compose/"))
    body = page.locator("#id_body")
    body.focus()

    with page.expect_response("**/compose/preview/"):
        page.keyboard.type("Coffe is ready")
    for _ in range(9):
        page.keyboard.press("ArrowLeft")
    with page.expect_response("**/compose/preview/"):
        page.keyboard.type("e")

    expect(page.locator(".note-android")).to_contain_text("Coffee is ready")
    expect(body).to_be_focused()
    expect(body).to_have_value("Coffee is ready")


def test_a_mistake_is_said_while_typing(page: Page, application: Application) -> None:
    page.goto(address(application, "compose/"))

    page.locator("#id_ios_badge").fill("many")
    expect(page.locator("#error-ios_badge")).to_contain_text("A whole number")

    page.locator("#id_ios_badge").fill("3")
    expect(page.locator("#error-ios_badge")).to_be_empty()


def test_header_rows_are_added_and_removed(page: Page, application: Application) -> None:
    page.goto(address(application, "compose/"))
    rows = page.locator("#header-rows [data-row]")

    page.get_by_role("button", name="Add a header").click()
    expect(rows).to_have_count(2)
    page.get_by_role("button", name="Remove this header").last.click()
    expect(rows).to_have_count(1)


def test_the_theme_is_switched_and_remembered(page: Page, application: Application) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(address(application))

    page.get_by_role("button", name="Light or dark").click()
    page.reload()

    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_composing_works_without_javascript(
    browser: Browser, live_server: LiveServer, application: Application, administrator: object
) -> None:
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(address(application, "compose/"))
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    page.get_by_label("Everyone in this channel").check()
    page.locator("#id_body").fill("Coffee is ready")
    page.locator("[name=header_name]").fill("campaign")
    page.locator("[name=header_value]").fill("spring")
    page.get_by_role("button", name="Add a header").click()
    expect(page.locator("[name=header_name]")).to_have_count(2)
    page.locator("#compose-send button").click()
    page.get_by_role("button", name="Send to 3 devices").click()
    page.wait_for_url("**/messages/*/")
    context.close()

    assert Message.objects.get().headers == {"campaign": "spring"}


def test_a_test_send_is_answered_beside_the_form(page: Page, application: Application) -> None:
    page.goto(address(application, "compose/"))
    page.locator("#id_body").fill("Coffee is ready")
    page.get_by_label("Test on your own devices first").fill("nobodys-phone")
    page.get_by_role("button", name="Send a test").dblclick()

    expect(page.locator("#trial-result")).to_contain_text("No device is registered with this id.")
    expect(page.locator("#compose-live")).to_contain_text("Coffee is ready")
    assert axe_violations(page) == []
    assert Message.objects.count() == 1


def test_the_enter_key_in_a_field_asks_for_the_review(page: Page, application: Application) -> None:
    page.goto(address(application, "compose/"))
    page.get_by_label("Everyone in this channel").check()
    page.locator("#id_body").fill("Coffee is ready")

    page.locator("#id_android_title").press("Enter")

    page.get_by_role("heading", name="Review and confirm").wait_for()
    assert not Message.objects.exists()
