"""Times: UTC for everybody, and beside it what the reader's own clock says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from devices.models import Application
from tests.console.rows import PASSWORD, address, make_message, make_occurrence
from tests.factories import make_application

_DUE = datetime(2030, 1, 15, 23, 30, tzinfo=UTC)


def message_page(browser: Browser, url: str, zone: str, application: Application) -> Page:
    """The page of a message due on a January evening, in a browser of this zone."""
    message = make_message(application)
    make_occurrence(message, due_at=_DUE)
    page = browser.new_context(base_url=url, timezone_id=zone, locale="en-GB").new_page()
    page.goto(address(application, f"messages/{message.message_id}/"))
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    return page


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("UTC", "2030-01-15 23:30:00 UTC"),
        ("America/New_York", "2030-01-15 23:30:00 UTC (18:30 here)"),
        ("Europe/Berlin", "2030-01-15 23:30:00 UTC (16 Jan 2030, 00:30 here)"),
    ],
)
def test_a_time_is_shown_in_utc_and_as_the_readers_clock_says(
    browser: Browser, live_server: LiveServer, administrator: User, zone: str, shown: str
) -> None:
    page = message_page(browser, live_server.url, zone, make_application("Corner Coffee"))

    expect(page.locator("#progress time").first).to_have_text(shown)
    page.context.close()
