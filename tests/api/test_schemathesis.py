"""schemathesis against a running server: what the document allows is answered as it says, all else is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import make_account
from tests.realtime.stack import REPOSITORY, Stack, database_url_of_tests, free_ports

_CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture
def stack(transactional_db: None) -> Iterator[Stack]:
    """Granian and what stands behind it, on the database of the tests."""
    running = Stack(database_url_of_tests(), *free_ports(2))
    try:
        running.start()
        yield running
    finally:
        running.stop()


def test_valid_and_hostile_input_is_answered_as_documented(stack: Stack, tmp_path: Path) -> None:
    document = f"{stack.url}/api/openapi.json"
    tool = str(Path(sys.executable).with_name("schemathesis"))

    run = subprocess.run(
        [
            tool,
            "--config-file",
            str(_CONFIG),
            "run",
            document,
            "--url",
            stack.url + make_account().prefix,
            "--no-color",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "22 selected / 22 total" in run.stdout
