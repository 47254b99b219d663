"""schemathesis against a running server: what the document allows is answered as it says, all else is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.plugin import DjangoDbBlocker

from devices.api_keys import Permissions
from devices.host_keys import create_host_key
from tests.factories import make_account, make_application
from tests.free_ports import free_ports
from tests.realtime.stack import REPOSITORY, Stack, database_url_of_tests

_CONFIG = Path(__file__).with_name("schemathesis.toml")

_CHAINED = (
    *("publish", "getMessageStatus", "cancel"),
    *("registerDevice", "getRegistrations", "unregisterDevice"),
    *("subscribe", "poll"),
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def stack(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Stack]:
    """Granian and what stands behind it, on the database of the tests."""
    web_port, socket_port = free_ports(2)
    with django_db_blocker.unblock():
        running = Stack(database_url_of_tests(), web_port, socket_port)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def test_valid_and_hostile_input_is_answered_as_documented(stack: Stack, tmp_path: Path) -> None:
    report = schemathesis(stack, tmp_path, stack.url + make_account().prefix, "examples,coverage,fuzzing")

    assert "22 selected / 22 total" in report


def test_the_same_holds_by_host_name(stack: Stack, tmp_path: Path) -> None:
    application = make_application()
    application.subdomain = "shop"
    application.save()
    create_host_key(application, Permissions(may_publish=True))
    by_host = ("--header", "Host: shop.localhost", "--max-examples", "5")

    report = schemathesis(stack, tmp_path, f"{stack.url}/api", "examples,fuzzing", *by_host)

    assert "22 selected / 22 total" in report


def test_calls_that_go_on_from_anothers_answer_are_answered_as_documented(stack: Stack, tmp_path: Path) -> None:
    valid = ("--mode", "positive", "--max-examples", "20")  # what is refused leads nowhere
    chained = [f"--include-operation-id={operation_id}" for operation_id in _CHAINED]

    report = schemathesis(stack, tmp_path, stack.url + make_account().prefix, "stateful", *valid, *chained)

    assert f"{len(_CHAINED)} selected / 22 total" in report
    assert "5 covered / 5 selected" in report


def schemathesis(stack: Stack, folder: Path, url: str, phases: str, *options: str) -> str:
    """Run it with the folder to itself; what it reports."""
    tool, document = str(Path(sys.executable).with_name("schemathesis")), f"{stack.url}/api/openapi.json"
    command = [tool, "--config-file", str(_CONFIG), "run", document, "--url", url, "--phases", phases, *options]
    run = subprocess.run(
        [*command, "--no-color"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout
