"""Fixtures for all tests: the database server of the session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devices.api import limits
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
