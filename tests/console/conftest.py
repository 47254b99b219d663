"""People, an application with devices, and messages in every state, for the tests of pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from console.models import Membership
from devices.models import Application
from tests.console.rows import PASSWORD
from tests.console.static_files import serve_uncollected
from tests.factories import make_application, make_registration


@pytest.fixture(autouse=True)
def uncollected_static_files(settings: Settings, tmp_path: Path) -> None:
    """Pages name their static files without a manifest."""
    serve_uncollected(settings, tmp_path)


@pytest.fixture
def application(db: None) -> Application:
    """An application with three Android, two iOS and one Windows device in the channel "default"."""
    application = make_application("Corner Coffee")
    for os in ("ANDROID", "ANDROID", "ANDROID", "IOS", "IOS", "WP"):
        make_registration(application, os)
    return application


@pytest.fixture
def marketer(application: Application) -> User:
    """A person who may send in `application` and nowhere else."""
    user = User.objects.create_user("maria", password=PASSWORD)
    Membership.objects.create(user=user, application=application, may_send=True)
    return user


@pytest.fixture
def page(client: Client, marketer: User) -> Client:
    """A browser in which the marketer is signed in."""
    client.force_login(marketer)
    return client
