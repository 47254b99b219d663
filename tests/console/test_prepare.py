"""`manage.py prepare` and `manage.py web`: how the machines of one installation come up beside each other."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from tests.messaging.processes import descendants_of, is_running
from tests.messaging.stage import wait_until

NAME = f"clarion_of_several_machines_{os.getpid()}"


@pytest.fixture
def empty_database(django_db_setup: None) -> Iterator[str]:
    """The address of a database that nobody has prepared."""
    known = connection.settings_dict
    place = {name: known[name.upper()] for name in ("host", "port", "user", "password") if known[name.upper()]}
    with psycopg.connect(**place, dbname="postgres", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {NAME}")
        yield f"postgresql:///{NAME}?{urlencode(place)}"
        server.execute(f"DROP DATABASE {NAME} WITH (FORCE)")


def machine(data_dir: Path, database_url: str, *words: str) -> subprocess.Popen[str]:
    """A `manage.py` command on a machine with a data folder of its own."""
    environment = {**os.environ, "CLARION_DATA_DIR": str(data_dir), "DATABASE_URL": database_url}
    return subprocess.Popen(
        [sys.executable, "manage.py", *words],
        cwd=settings.BASE_DIR,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/login/", timeout=5).close()
    except OSError:
        return False
    return True


def test_machines_that_prepare_an_empty_database_at_once_take_turns(tmp_path: Path, empty_database: str) -> None:
    machines = [machine(tmp_path / name, empty_database, "prepare") for name in ("one", "two", "three")]

    said = [process.communicate(timeout=300) for process in machines]

    assert [process.returncode for process in machines] == [0, 0, 0], [error for _, error in said]
    assert sum("Log in as admin with the password" in output for output, _ in said) == 1
    assert all((tmp_path / name / "static" / "staticfiles.json").exists() for name in ("one", "two", "three"))


def test_a_database_that_cannot_be_used_is_said_in_one_sentence(tmp_path: Path) -> None:
    nowhere = machine(tmp_path, "postgresql://clarion@127.0.0.1:1/clarion", "prepare")

    _, error = nowhere.communicate(timeout=120)

    assert nowhere.returncode == 1
    assert error.startswith("CommandError: The PostgreSQL server of DATABASE_URL cannot be used")
    assert error.count("\n") == 1


def test_without_a_database_url_prepare_names_the_command_to_use(tmp_path: Path) -> None:
    process = machine(tmp_path, "", "prepare")

    _, error = process.communicate(timeout=120)

    assert process.returncode == 1
    assert "manage.py up" in error


def test_the_web_part_serves_pages_and_ends_by_sigterm(tmp_path: Path, empty_database: str) -> None:
    _, error = machine(tmp_path, empty_database, "prepare").communicate(timeout=300)
    assert error == ""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    web = machine(tmp_path, empty_database, "web", "--port", str(port))
    try:
        wait_until(lambda: answers(port), 120, "the login page")
    finally:
        web.send_signal(signal.SIGTERM)
        web.communicate(timeout=60)

    assert web.returncode == 0


def test_the_web_part_ends_when_told_to_while_it_starts(tmp_path: Path) -> None:
    web = machine(tmp_path, "postgresql://clarion@127.0.0.1:1/clarion", "web", "--port", "0")
    wait_until(lambda: bool(descendants_of(web.pid)), 120, "the first web process")
    family = [web.pid, *descendants_of(web.pid)]

    web.send_signal(signal.SIGTERM)
    web.communicate(timeout=60)

    assert not any(is_running(pid) for pid in family)
