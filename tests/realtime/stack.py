"""Clarion's own processes on free ports, as `manage.py up` starts them, on the database of the test session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

from django.db import connection

REPOSITORY = Path(__file__).parents[2]
_READY_S = 60.0  #: three processes that import Django, beside whatever else the machine does


def database_url_of_tests() -> str:
    """The database of this test session, for processes of their own."""
    known = connection.settings_dict
    address = {"host": known["HOST"], "port": str(known["PORT"]), "user": known["USER"], "password": known["PASSWORD"]}
    query = urlencode({name: value for name, value in address.items() if value}, quote_via=quote)
    return f"postgresql:///{quote(known['NAME'])}?{query}"


def wait_until(holds: Callable[[], bool], what: str, timeout_s: float = _READY_S) -> None:
    """Look every 20 ms; fails when it takes too long."""
    give_up_at = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < give_up_at, f"waited {timeout_s} s for {what}"
        time.sleep(0.02)


@dataclass(slots=True)
class Stack:
    """Web server, socket process and ticker."""

    database_url: str
    web_port: int
    socket_port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where REST is."""
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def socket_url(self) -> str:
        """Where live subscribers connect."""
        return f"http://127.0.0.1:{self.socket_port}"

    def start(self) -> None:
        """Start everything and wait until it answers."""
        granian = [str(Path(sys.executable).with_name("granian")), "--interface", "wsgi", "--port", str(self.web_port)]
        options = ["--host", "127.0.0.1", "--workers", "1", "--blocking-threads", "1", "--log-level", "warning"]
        self.spawn("web", [*granian, *options, "console.wsgi:application"])
        self.start_sockets()
        self.spawn("ticker", [sys.executable, "manage.py", "ticker"])
        wait_until(lambda: _answers(f"{self.url}/health"), "the web server")
        wait_until(lambda: "ticker" not in self._missing(), "the ticker")

    def _missing(self) -> list[str]:
        try:
            urllib.request.urlopen(f"{self.url}/health", timeout=5).close()
        except urllib.error.HTTPError as error:
            missing: list[str] = json.load(error)["missing"]
            return missing
        return []

    def start_sockets(self, name: str = "sockets", port: int | None = None) -> int:
        """Start a socket process and wait until it answers; its pid."""
        port = port or self.socket_port
        process = self.spawn(name, [sys.executable, "manage.py", "sockets", "--port", str(port)])
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}/health"), "the socket process")
        return process.pid

    def spawn(self, name: str, command: list[str], env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start one process with this stack's settings."""
        settings = {
            "DATABASE_URL": self.database_url,
            "PORT": str(self.web_port),
            "CLARION_RT_URL": self.socket_url,
            "DEBUG": "true",  # no collected static files
        }
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env={**os.environ, **settings, **(env or {})}, stdout=subprocess.DEVNULL
        )
        self.processes[name] = process
        return process

    def stop(self, *names: str) -> None:
        """End these processes, or all."""
        ending = [self.processes.pop(name) for name in names or tuple(self.processes)]
        for process in ending:
            process.terminate()
        for process in ending:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
