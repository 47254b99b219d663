"""Fixtures of the benchmarks: a durable PostgreSQL, the provider's stand-in, the report."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from console import postgres
from tests.benchmarks.h2load import h2load_version
from tests.benchmarks.provider_stand_in import INSTALL, StandIn, find_nginx, nginx_version, running_stand_in
from tests.benchmarks.report import Report
from tests.messaging.conftest import simulator_thread, simulators, stage
from tests.postgres_plugin import DATA_DIR

__all__ = ["simulator_thread", "simulators", "stage"]


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> Iterator[None]:
    """Start PostgreSQL as it runs in production, with fsync: figures without it would flatter."""
    postgres.ensure_running(DATA_DIR, durable=True)
    try:
        yield
    finally:
        postgres.stop(DATA_DIR)


@pytest.fixture(scope="session")
def report() -> Iterator[Report]:
    """The session's figures."""
    figures = Report()
    yield figures
    figures.finish()


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory, report: Report) -> Iterator[StandIn]:
    """nginx in the place of the push services."""
    nginx = find_nginx()
    if nginx is None or shutil.which("h2load") is None:
        pytest.skip(f"nginx and h2load are needed: {INSTALL}")
    report.versions |= {"nginx": nginx_version(nginx).partition("/")[2], "h2load": h2load_version().rpartition("/")[2]}
    folder: Path = tmp_path_factory.mktemp("provider") / "nginx"
    with running_stand_in(nginx, folder) as stand_in:
        yield stand_in


@pytest.fixture
def no_old_deliveries(transactional_db: None) -> Iterator[None]:
    """Empty the table of outcomes afterwards: Django, which does not manage it, leaves it alone between tests."""
    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE messaging_delivery")
