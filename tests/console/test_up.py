"""`manage.py up`: one command starts everything, and whatever ends it, nothing is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.free_ports import free_ports
from tests.messaging.processes import descendants_of, is_running, report
from tests.messaging.stage import wait_until

pytestmark = pytest.mark.fault


@contextlib.contextmanager
def clarion(data_dir: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A started Clarion with a data directory of its own, and its port."""
    port, _ = free_ports(2)  # live subscribers use the next one
    environment = {name: text for name, text in os.environ.items() if name != "DATABASE_URL"}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up", "--port", str(port)],
        cwd=settings.BASE_DIR,
        env={**environment, "CLARION_DATA_DIR": str(data_dir), "CLARION_LOG_LEVEL": "ERROR", "DEBUG": "true"},
        stdout=subprocess.DEVNULL,
    )
    family: list[int] = []
    try:
        wait_until(lambda: _answers(port), 120, "the login page")
        yield process, port
    finally:
        family = [process.pid, *descendants_of(process.pid)]
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        for pid in family:
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/login/", timeout=5).close()
    except OSError:
        return False
    return True


def publish(data_dir: Path, port: int) -> None:
    keys = json.loads((data_dir / "demo.json").read_text())
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{keys['application_id']}/{keys['rest_key']}/messaging/default",
        data=json.dumps({"message": "Hi", "headers": {"android-content-text": "Hi", "ios-alert": "Hi"}}).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()


def requests(data_dir: Path) -> Counter[str]:
    """Accepted pushes by token, as the simulators' log has them."""
    (log,) = data_dir.rglob("requests.jsonl")
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    return Counter(entry["token"] for entry in entries if entry["status"] in (200, 201))


def test_sigterm_in_mid_campaign_ends_everything_and_doubles_nobody(tmp_path: Path) -> None:
    with clarion(tmp_path) as (process, port):
        publish(tmp_path, port)
        wait_until(lambda: len(requests(tmp_path)) > 1_000, 30, "1,000 pushes")
        family = descendants_of(process.pid)
        process.send_signal(signal.SIGTERM)
        took = wait_until(lambda: process.poll() is not None, 20, "the end")
        left = [pid for pid in family if is_running(pid)]
        sent = len(requests(tmp_path))
    with clarion(tmp_path):
        wait_until(lambda: len(requests(tmp_path)) > 7_700, 90, "the rest of the campaign")
        counts = requests(tmp_path)

    sys.stderr.write(
        f"\nSIGTERM of up after {sent} pushes: {took:.1f} s, {sum(counts.values()) - len(counts)} double\n"
    )
    assert took <= 15.5
    assert left == []
    assert sum(counts.values()) == len(counts)


def test_sigkill_leaves_no_process_behind(tmp_path: Path) -> None:
    with clarion(tmp_path) as (process, _port):
        family = descendants_of(process.pid)
        assert len(family) >= 8
        process.kill()
        began = time.monotonic()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not any(map(is_running, family)), 20, "every process to end")
        left = [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in family if is_running(pid)]
        took = time.monotonic() - began

    report(f"SIGKILL of up: {took:.1f} s, left: {left}")
    assert left == []
