"""What is taken from a person is gone at their next request, in the sessions they have open."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from devices.models import Application
from tests.console.rows import PASSWORD, address


@pytest.fixture
def signed_in(client: Client, marketer: User) -> Client:
    """A browser in which the marketer signed in by name and password."""
    client.post("/login/", {"username": "maria", "password": PASSWORD})
    return client


def test_a_session_ends_with_the_password_somebody_else_changed(
    signed_in: Client, application: Application, marketer: User
) -> None:
    assert signed_in.get(address(application)).status_code == 200

    marketer.set_password("another-horse-staple-7")
    marketer.save()

    assert signed_in.get(address(application))["Location"].startswith("/login/")


def test_a_session_ends_when_the_account_is_switched_off(
    signed_in: Client, application: Application, marketer: User
) -> None:
    User.objects.filter(pk=marketer.pk).update(is_active=False)

    assert signed_in.get(address(application))["Location"].startswith("/login/")
    assert signed_in.post(address(application, "compose/send/"))["Location"].startswith("/login/")
    assert signed_in.post("/login/", {"username": "maria", "password": PASSWORD}).status_code == 200


def test_a_session_ends_with_the_account(signed_in: Client, application: Application, marketer: User) -> None:
    marketer.delete()

    assert signed_in.get(address(application))["Location"].startswith("/login/")


def test_a_membership_taken_away_closes_the_application(
    signed_in: Client, application: Application, marketer: User
) -> None:
    marketer.memberships.all().delete()

    assert signed_in.get(address(application)).status_code == 404
    assert signed_in.post(address(application, "compose/send/")).status_code == 404


def test_an_administrator_no_more_reaches_no_keys_and_no_data(
    signed_in: Client, application: Application, marketer: User
) -> None:
    User.objects.filter(pk=marketer.pk).update(is_superuser=True, is_staff=True)
    assert signed_in.get(address(application, "keys/")).status_code == 200
    assert signed_in.get("/admin/").status_code == 200

    User.objects.filter(pk=marketer.pk).update(is_superuser=False, is_staff=False)

    assert signed_in.get(address(application, "keys/")).status_code == 403
    assert signed_in.get("/admin/").status_code == 302
