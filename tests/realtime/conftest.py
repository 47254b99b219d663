"""A running Clarion for all of this folder, and one application in it for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.factories import ApiAccount, make_account
from tests.realtime.stack import Stack, database_url_of_tests, free_ports


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder shares the database with other processes: what it writes has to be committed."""
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.django_db(transaction=True))


@pytest.fixture(scope="session")
def stack(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Stack]:
    """The processes, kept for the whole session: starting them takes seconds."""
    with django_db_blocker.unblock():
        running = Stack(database_url_of_tests(), *free_ports(2))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def account(stack: Stack, transactional_db: None) -> ApiAccount:
    """An application and its keys."""
    return make_account()
