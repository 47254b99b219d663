"""The short way of API calls past the middleware of pages."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from tests.api.conftest import Api

SHORT_WAY = "devices.api.middleware.ApiMiddleware"


@pytest.fixture(autouse=True)
def installed(settings: Settings) -> None:
    """Right behind SecurityMiddleware, as the settings have it."""
    others = [name for name in settings.MIDDLEWARE if name != SHORT_WAY]
    settings.MIDDLEWARE = [others[0], SHORT_WAY, *others[1:]]


def test_an_api_call_meets_no_middleware_of_pages(api: Api) -> None:
    client = Client(enforce_csrf_checks=True)

    response = client.post(f"{api.account.prefix}/messaging/default", {"message": "x"}, content_type="application/json")

    assert response.status_code == 200
    assert response.headers["Content-Length"] == str(len(response.content))
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Security-Policy" not in response.headers


@pytest.mark.parametrize("path", ["/messaging/nothing/here", "/", "//", "/messaging/%2e%2e"])
def test_whatever_stands_below_a_key_answers_in_json(api: Api, path: str) -> None:
    response = api.client.patch(f"{api.account.prefix}{path}")

    assert response.status_code in (404, 405)
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", ["/login/", "/health", "/A-B/"])
def test_pages_go_the_long_way(api: Api, path: str) -> None:
    assert "Content-Security-Policy" in api.client.get(path).headers
