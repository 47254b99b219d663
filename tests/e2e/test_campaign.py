"""A whole campaign as somebody runs it the first time: from the printed password to the last device's outcome."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.live import LiveClarion, running_clarion
from tests.e2e.watched import WatchedPage, axe_violations

#: the demo has 10,000 devices: 9 of 20 are Android, 7 of 20 iOS
ANDROID_AND_IOS = 8_000
_CAMPAIGN_MS = 60_000


@pytest.fixture(scope="module")
def clarion() -> Iterator[LiveClarion]:
    """`manage.py up`, with the demo application."""
    with running_clarion() as running:
        yield running


@pytest.fixture
def page(browser: Browser, clarion: LiveClarion) -> Iterator[Page]:
    """The overview, after signing in with the password that was printed."""
    context = browser.new_context(base_url=clarion.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(15_000)
    watched = WatchedPage(context.new_page())
    watched.page.emulate_media(reduced_motion="reduce")
    watched.page.goto("/")
    watched.page.get_by_label("User name").fill(clarion.user_name)
    watched.page.get_by_label("Password").fill(clarion.password)
    watched.page.get_by_role("button", name="Sign in").click()
    watched.page.wait_for_url("**/apps/*/")
    yield watched.page
    context.close()
    assert watched.complaints == []


def compose(page: Page, text: str) -> None:
    """Fill in a campaign for the Android and iOS devices of the channel "default"."""
    page.get_by_role("navigation", name="Sections", exact=True).get_by_role("link", name="Compose").click()
    expect(page.get_by_label("Channel", exact=True)).to_have_value("default")
    page.get_by_label("By operating system").check()
    page.get_by_label("Android", exact=True).check()
    page.get_by_label("iOS", exact=True).check()
    page.locator("#id_body").fill(text)
    page.locator("#id_android_title").fill("Corner Coffee")
    page.locator("#id_ios_badge").fill("1")


def send(page: Page) -> None:
    """Review, confirm, and arrive at the message's page."""
    page.get_by_role("button", name=re.compile(r"^Send to [\d,]+ devices…$")).click()
    page.get_by_role("heading", name="Review and confirm").wait_for()
    page.get_by_role("button", name=re.compile(r"^Send to [\d,]+ devices$")).click()
    page.wait_for_url("**/messages/*/")


def ledger(page: Page) -> dict[str, int]:
    """The numbers of one reading of the page: a poll between two look-ups must not mix them."""
    shown: dict[str, str] = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('[data-ledger]')].map(e=>[e.dataset.ledger,e.textContent]))"
    )
    return {name: int(text.replace(",", "")) for name, text in shown.items()}


def adds_up(numbers: dict[str, int]) -> bool:
    """Whether every targeted device is somewhere."""
    parts = sum(numbers[part] for part in ("pending", "accepted", "failed", "skipped"))
    return numbers["targeted"] == parts


def test_a_campaign_reaches_every_device_it_was_meant_for(page: Page) -> None:
    compose(page, "Two for one until six")
    reach = page.locator("#compose-live")
    expect(reach).to_contain_text(f"{ANDROID_AND_IOS:,} devices now")
    expect(page.locator(".note-android .title")).to_have_text("Corner Coffee")
    expect(page.locator(".note-ios")).to_contain_text("Two for one until six")
    expect(reach.locator(".payload-line .end")).to_have_text([re.compile(r"^\d+ of 4,096 bytes$")] * 2)
    page.get_by_text("Exact payload").last.click()
    expect(reach.get_by_role("region", name="APNs payload")).to_contain_text('"badge": 1')
    assert axe_violations(page) == []

    send(page)
    page.locator("#ledger").wait_for(timeout=_CAMPAIGN_MS)
    assert axe_violations(page) == []
    assert adds_up(ledger(page))
    expect(page.locator("#progress")).to_contain_text("final", timeout=_CAMPAIGN_MS)

    end = ledger(page)
    assert adds_up(end)
    assert (end["targeted"], end["pending"]) == (ANDROID_AND_IOS, 0)
    assert end["failed"] > 0
    assert axe_violations(page) == []

    failure = page.locator(".failure").filter(has_text="UNREGISTERED").first
    devices = int(failure.locator(".count").inner_text())
    failure.get_by_role("link", name="Show devices").click()
    rows = page.locator("#deliveries tbody tr")
    expect(rows).to_have_count(min(devices, 25))
    expect(rows.first).to_contain_text("demo-")
    expect(rows.filter(has_text="UNREGISTERED")).to_have_count(min(devices, 25))
    assert axe_violations(page) == []


def test_a_campaign_is_paused_resumed_and_cancelled_and_adds_up_all_the_while(page: Page) -> None:
    compose(page, "This was a mistake")
    page.locator("#id_requests_per_second").fill("300")
    send(page)
    page.locator("#ledger").wait_for(timeout=_CAMPAIGN_MS)

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_have_text("Paused")
    assert adds_up(ledger(page))
    assert axe_violations(page) == []
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("status")).to_have_text("Sending")

    page.get_by_role("link", name="Cancel…").click()
    page.get_by_role("heading", name="Cancel this message?").wait_for()
    assert axe_violations(page) == []
    page.get_by_role("button", name="Cancel the message").click()
    expect(page.locator("#progress")).to_contain_text("final", timeout=_CAMPAIGN_MS)

    end = ledger(page)
    assert adds_up(end)
    assert end["pending"] == 0
    assert end["skipped"] > 0
    expect(page.get_by_role("status")).to_have_text("Cancelled")
    expect(page.locator("#timeline-events")).to_contain_text("Paused by admin")
