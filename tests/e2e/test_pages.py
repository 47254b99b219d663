"""Every page in a real browser: accessible in light and dark, within a phone's width, and true to its policy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from devices.models import Application
from devices.push_services import PushService
from messaging.models import Lane, LaneState, MessageStatus
from tests.console.rows import address, make_delivery, make_done, make_message, make_occurrence, make_sending
from tests.e2e.watched import axe_violations, overflow
from tests.factories import make_application, make_registration

PAGES = ("", "compose/", "messages/", "messages/{done}/", "messages/{moving}/", "devices/", "providers/")
OTHER_PAGES = (
    "messages/{moving}/confirm-cancel/",
    "messages/{moving}/confirm-stop/",
    "messages/{scheduled}/edit/",
    "keys/",
    "providers/fcm/credential/",
    "providers/apns/credential/",
    "devices/{device}/",
    "devices/{device}/deactivate/",
    "activity/",
    "messages/{done}/?service=fcm&outcome=gone&reason=UNREGISTERED",
    "compose/?from={done}",
    "messages/?status=failed",
    "nothing/",
)


@pytest.fixture
def application(transactional_db: None) -> Application:
    """An application in which everything that a page can show is there."""
    application = make_application("Corner Coffee")
    Application.objects.update(is_simulated=True)
    Lane.objects.create(
        application=application, push_service=PushService.APNS, state=LaneState.PAUSED, paused_because="Key revoked."
    )
    make_occurrence(make_message(application, "Tomorrow's cake"))
    return application


@pytest.fixture
def addresses(application: Application) -> dict[str, str]:
    """Ids of a finished and of a moving message."""
    done = make_message(application, status=MessageStatus.PUBLISHED, headers={"campaign": "spring"})
    occurrence = make_done(done)
    make_occurrence(done, n=1, retry_no=1)
    for outcome, reason in (("accepted", ""), ("gone", "UNREGISTERED"), ("exhausted", "UNAVAILABLE")):
        make_delivery(occurrence, make_registration(application), outcome, reason)
    moving = make_message(application, "Flash sale", push_broadcast=31)
    make_sending(moving)
    scheduled = application.messages.get(body="Tomorrow's cake")
    messages = {"done": done, "moving": moving, "scheduled": scheduled}
    device = application.registrations.all()[0]
    return {name: str(message.message_id) for name, message in messages.items()} | {"device": str(device.pk)}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_have_no_accessibility_violation(
    page: Page, application: Application, addresses: dict[str, str], scheme: str
) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    found = {}

    for name in (*PAGES, *OTHER_PAGES[:-1]):
        page.goto(address(application, name.format(**addresses)))
        found[name] = axe_violations(page)

    assert {name: violations for name, violations in found.items() if violations} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_login_page_has_no_accessibility_violation(new_page: Page, transactional_db: None, scheme: str) -> None:
    new_page.emulate_media(color_scheme=scheme)
    new_page.goto("/login/")

    assert axe_violations(new_page) == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_page_scrolls_sideways(page: Page, application: Application, addresses: dict[str, str], width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    found = {}

    for name in (*PAGES, *OTHER_PAGES[:-1]):
        page.goto(address(application, name.format(**addresses)))
        found[name] = overflow(page)

    assert {name: pixels for name, pixels in found.items() if pixels} == {}


def test_the_focus_survives_a_poll(page: Page, application: Application) -> None:
    message = make_message(application)
    make_delivery(make_sending(message), make_registration(application), "gone", "UNREGISTERED")
    page.goto(address(application, f"messages/{message.message_id}/"))
    page.get_by_role("link", name="Show devices").focus()

    with page.expect_response("**/progress/**"):
        pass

    expect(page.get_by_role("link", name="Show devices")).to_be_focused()


def test_the_header_stays_in_sight(page: Page, application: Application) -> None:
    page.goto(address(application, "compose/"))

    page.evaluate("scrollTo(0, document.body.scrollHeight)")

    expect(page.get_by_role("navigation", name="Sections", exact=True)).to_be_in_viewport()


@pytest.fixture
def cut_off(page: Page, browser: Browser, live_server: LiveServer) -> Iterator[Page]:
    """A page, signed in, that may lose its server: nobody counts what the browser says about that."""
    context = browser.new_context(base_url=live_server.url, storage_state=page.context.storage_state())
    yield context.new_page()
    context.close()


def test_a_page_without_its_server_says_so_until_it_is_back(cut_off: Page, application: Application) -> None:
    message = make_message(application)
    make_sending(message)
    cut_off.goto(address(application, f"messages/{message.message_id}/"))
    warning = cut_off.get_by_role("alert").filter(has_text="Clarion does not answer")
    expect(warning).to_be_hidden()

    cut_off.context.set_offline(True)
    expect(warning).to_be_visible()
    cut_off.context.set_offline(False)
    expect(warning).to_be_hidden()

    cut_off.route("**/progress/**", lambda route: route.fulfill(status=503))
    expect(warning).to_be_visible()
