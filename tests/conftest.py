"""Fixtures for all tests: the database server of the session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import TransactionTestCase
from pytest_django.fixtures import Settings

from devices.api import limits
from tests.emptying import delete_rows
from tests.postgres_plugin import session_server


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> Iterator[None]:
    """Start PostgreSQL before pytest-django makes the test database; stop it after that is dropped."""
    with session_server():
        yield


@pytest.fixture(autouse=True)
def nothing_counted_yet() -> None:
    """Limits per address are kept by the process, and all tests come from one address."""
    limits.start()


@pytest.fixture(autouse=True)
def cheap_passwords(settings: Settings) -> None:
    """Hash with the least that Argon2 can: at full cost, that is 0.1 s of CPU for each person a test makes."""
    settings.PASSWORD_HASHERS = ["tests.cheap_passwords.CheapArgon2"]


@pytest.fixture(scope="session", autouse=True)
def emptied_by_deleting() -> Iterator[None]:
    """Replace the way in which Django empties the database after a test that commits; it offers no other place."""
    flush = TransactionTestCase._fixture_teardown

    def empty(case: TransactionTestCase) -> None:
        if not delete_rows():
            flush(case)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty)
        yield
