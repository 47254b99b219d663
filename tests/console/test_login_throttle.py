"""Guessing the passwords of people: slowed, and no name locked for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from console.models import AuditEntry
from devices.api import limits
from devices.rates import parse_rate
from tests.console.rows import PASSWORD


def sign_in(address: str, name: str = "maria", password: str = PASSWORD, path: str = "/login/") -> Any:
    """A browser at that address that nobody used before; the answer."""
    return Client().post(path, {"username": name, "password": password}, REMOTE_ADDR=address)


@pytest.fixture
def clock(settings: Settings) -> list[float]:
    """One web process in which an address may fail three times, then twice a minute; the seconds it counts by."""
    settings.WEB_WORKERS = 1
    settings.RATES = settings.RATES | {"FAILURES": parse_rate("2/min burst 3")}
    now = [1000.0]
    limits.start(lambda: now[0])
    return now


def test_one_address_that_tries_many_names_has_to_wait(marketer: User, clock: list[float]) -> None:
    answers = [sign_in("192.0.2.1", f"name{number}", "Summer2026").status_code for number in range(4)]
    refused = sign_in("192.0.2.1")

    assert answers == [200, 200, 200, 429]
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
    assert b"Try again in 30 seconds" in refused.content
    assert sign_in("192.0.2.2").status_code == 302
    clock[0] += 30.0
    assert sign_in("192.0.2.1").status_code == 302


def test_the_data_administration_has_the_same_door(marketer: User, clock: list[float]) -> None:
    User.objects.update(is_staff=True)
    for number in range(3):
        sign_in("192.0.2.1", f"name{number}", "Summer2026", "/admin/login/")

    assert b"Wait a little" in sign_in("192.0.2.1", path="/admin/login/").content
    assert sign_in("192.0.2.2", path="/admin/login/").status_code == 302


def test_attempts_that_are_not_looked_at_leave_no_rows(marketer: User, clock: list[float]) -> None:
    for number in range(4):
        sign_in("192.0.2.1", f"name{number}", "Summer2026")
    written = AuditEntry.objects.count()

    for number in range(20):
        sign_in("192.0.2.1", f"name{number}", "Summer2026")

    assert AuditEntry.objects.count() == written


def guess_from_many_addresses(name: str, failures: int) -> None:
    """As axes records them."""
    values = {"user_agent": "", "http_accept": "", "path_info": "/login/", "get_data": "", "post_data": ""}
    for number in range(failures):
        AccessAttempt.objects.create(username=name, ip_address=f"198.51.100.{number}", failures_since_start=1, **values)


def test_many_addresses_that_try_one_name_are_stopped(marketer: User) -> None:
    guess_from_many_addresses("maria", 50)

    assert sign_in("192.0.2.1").status_code == 429
    assert sign_in("192.0.2.1", "somebody", "wrong").status_code == 200


def test_a_person_goes_on_where_they_signed_in_before(marketer: User) -> None:
    assert sign_in("192.0.2.1").status_code == 302
    guess_from_many_addresses("maria", 200)

    assert sign_in("192.0.2.1").status_code == 302
    assert sign_in("192.0.2.2").status_code == 429


def test_a_name_is_open_again_when_the_failures_are_fifteen_minutes_old(marketer: User) -> None:
    guess_from_many_addresses("maria", 200)
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=15))

    assert sign_in("192.0.2.1").status_code == 302


def test_guessing_on_does_not_keep_a_name_closed(marketer: User) -> None:
    for _ in range(8):
        sign_in("192.0.2.1", password="wrong")  # noqa: S106
    long_ago = timezone.now() - timedelta(minutes=14)
    AccessAttempt.objects.update(attempt_time=long_ago)

    assert sign_in("192.0.2.1", password="wrong").status_code == 429  # noqa: S106
    assert AccessAttempt.objects.get().attempt_time == long_ago


def test_a_name_with_a_nul_is_refused_without_fuss(marketer: User) -> None:
    assert sign_in("192.0.2.1", "ma\0ria").status_code == 200
