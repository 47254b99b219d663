"""Users in Django admin: passwords go in and never out, and changing one ends every login."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.hashers import check_password
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from devices.admin_users import AppUserForm
from devices.app_users import Account, log_in, register
from devices.user_models import Role, UserToken
from tests.console.static_files import serve_uncollected
from tests.factories import make_application

ACCOUNT = Account(login="a@b.c", password="a long secret", properties={})


@pytest.fixture(autouse=True)
def uncollected_static_files(settings: Settings, tmp_path: Path) -> None:
    """Pages without what `collectstatic` writes."""
    serve_uncollected(settings, tmp_path)


def test_new_password_ends_every_login(admin_client: Client) -> None:
    application = make_application()
    user = register(application, ACCOUNT)
    log_in(application, "a@b.c", "a long secret", "")

    response = admin_client.post(
        reverse("admin:devices_appuser_change", args=[user.pk]),
        {"application": application.pk, "login": "a@b.c", "properties": "{}", "new_password": "another secret"},
    )

    user.refresh_from_db()
    assert response.status_code == 302
    assert check_password("another secret", user.password)
    assert not UserToken.objects.exists()


def test_saving_without_a_password_keeps_it(admin_client: Client) -> None:
    application = make_application()
    user = register(application, ACCOUNT)
    log_in(application, "a@b.c", "a long secret", "")

    admin_client.post(
        reverse("admin:devices_appuser_change", args=[user.pk]),
        {"application": application.pk, "login": "a@b.c", "name": "Ann", "properties": "{}"},
    )

    user.refresh_from_db()
    assert (user.name, check_password("a long secret", user.password)) == ("Ann", True)
    assert UserToken.objects.exists()


def test_role_of_another_application_or_built_in_cannot_be_given(db: None) -> None:
    application = make_application()
    foreign = Role.objects.create(application=make_application("Other"), name="Editors")
    built_in = Role.objects.create(application=application, name="AuthenticatedUser")

    for role in (foreign, built_in):
        form = AppUserForm({"application": application.pk, "login": "x", "properties": "{}", "roles": [role.pk]})
        assert f"Nobody of this application can be put into {role.name}" in str(form.errors["roles"])
