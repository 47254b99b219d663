"""A real browser against a live server: signed in, with every complaint of the page collected."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from console import settings as configured
from tests.console.rows import PASSWORD
from tests.console.static_files import serve_uncollected
from tests.e2e.watched import WatchedPage

WIDE = {"width": 1280, "height": 900}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder drives a browser."""
    for item in items:
        if "e2e" in Path(item.path).parts:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium of the system where there is one, else Playwright's own."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or None,
            args=["--no-sandbox"],  # containers give Chromium no user namespace to build its sandbox with
        )
        yield launched
        launched.close()


@pytest.fixture(scope="session", autouse=True)
def static_root() -> None:
    """The live server starts before any test can say where static files are collected."""
    Path(configured.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True)
def uncollected_static_files(settings: Settings, tmp_path: Path) -> None:
    """Pages name their static files without a manifest."""
    serve_uncollected(settings, tmp_path)


@pytest.fixture
def administrator(transactional_db: None) -> User:
    """A person who reaches every application."""
    return User.objects.create_superuser("admin", password=PASSWORD)


@pytest.fixture
def new_page(browser: Browser, live_server: LiveServer) -> Iterator[Page]:
    """A page of a fresh browser context, nobody signed in; fails the test that broke its policy or script."""
    context = browser.new_context(base_url=live_server.url, viewport=WIDE)
    context.set_default_timeout(10_000)
    watched = WatchedPage(context.new_page())
    yield watched.page
    context.close()
    assert watched.complaints == []


@pytest.fixture
def page(new_page: Page, administrator: User, client: Client, live_server: LiveServer) -> Page:
    """A page whose person has signed in; the form to do so is part of the whole campaign."""
    client.force_login(administrator)
    session = client.cookies[configured.SESSION_COOKIE_NAME].value
    new_page.context.add_cookies(
        [{"name": configured.SESSION_COOKIE_NAME, "value": session, "url": live_server.url, "httpOnly": True}]
    )
    return new_page
