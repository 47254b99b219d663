"""What `manage.py up` does before and after it starts its processes, each step with its own clear error."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import selectors
import socket
import sys
import time
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command

from console import postgres
from console.processes import Child
from messaging import database, partitions, queue
from messaging.senders import SIMULATOR_FILE

_SIMULATORS_S = 30.0


class CannotStart(Exception):
    """Clarion cannot start; the message is the one sentence to print."""


def lock_data_folder() -> None:
    """Hold the data folder until this process ends. Raises CannotStart when another `up` holds it."""
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    lock = os.open(settings.DATA_DIR / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # never closed: the kernel lets go of it with the process
    except BlockingIOError as error:
        raise CannotStart(
            f"Clarion already runs with the data folder {settings.DATA_DIR}: stop it, or set CLARION_DATA_DIR."
        ) from error


def check_ports(host: str, *ports: int) -> None:
    """Raises CannotStart when somebody else listens on one of them."""
    for port in ports:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise CannotStart(
                    f"Port {port} cannot be used ({error.strerror}): choose others, as in `make run PORT={port + 10}`."
                ) from error


def start_database() -> None:
    """The embedded server, or the one DATABASE_URL names, once it is known to be usable. Raises CannotStart."""
    try:
        if settings.IS_DATABASE_EMBEDDED:
            postgres.ensure_running(settings.DATA_DIR)
        else:
            postgres.check_server(database.connection_parameters())
    except postgres.DatabaseUnavailable as error:
        raise CannotStart(str(error)) from error


def keep_database() -> None:
    """Start the embedded server again when it fell; everybody else waits for it and goes on."""
    if settings.IS_DATABASE_EMBEDDED and postgres.running(settings.DATA_DIR) is None:
        with contextlib.suppress(postgres.DatabaseUnavailable):
            postgres.ensure_running(settings.DATA_DIR)


def prepare_database() -> None:
    """Bring the schema up to date, make the partitions of the coming weeks and the housekeeping rows."""
    call_command("migrate", verbosity=0, interactive=False)
    today = database.now().date()
    for weeks in range(5):
        partitions.ensure_partition(today + timedelta(weeks=weeks))
    queue.ensure_periodic_jobs()


def collect_static() -> None:
    """Put the static files where WhiteNoise serves them from, hashed and compressed."""
    call_command("collectstatic", verbosity=0, interactive=False)


def first_administrator() -> tuple[str, str] | None:
    """Name and password of the administrator made now; None when there is one. The password is not kept."""
    users = get_user_model()
    if users.objects.filter(is_superuser=True).exists():
        return None
    password = secrets.token_urlsafe(12)
    users.objects.create_superuser(username="admin", password=password)
    return "admin", password


def start_simulators() -> tuple[Child, dict[str, Any]]:
    """The provider simulators and their addresses, also written to the file senders read. Raises CannotStart."""
    read_end, write_end = os.pipe()
    child = Child(
        name="simulators",
        command=[sys.executable, "manage.py", "simulate_providers", "--data-dir", str(settings.DATA_DIR)],
    )
    child.start(stdout=write_end)
    os.close(write_end)
    line = _first_line(read_end, _SIMULATORS_S)
    if not line:
        child.kill_group()
        raise CannotStart("The provider simulators did not start; their log says why. Start without: ARGS=--no-demo.")
    path = settings.DATA_DIR / SIMULATOR_FILE
    path.write_bytes(line)
    urls: dict[str, Any] = json.loads(line)
    return child, urls


def _first_line(descriptor: int, timeout_s: float) -> bytes:
    give_up_at = time.monotonic() + timeout_s
    received = b""
    with selectors.DefaultSelector() as selector, os.fdopen(descriptor, "rb", buffering=0) as pipe:
        selector.register(pipe, selectors.EVENT_READ)
        while b"\n" not in received and time.monotonic() < give_up_at:
            if selector.select(timeout=0.5):
                chunk = pipe.read(65_536)
                if not chunk:
                    return b""
                received += chunk
    return received.partition(b"\n")[0]


def web_server(host: str, port: int) -> Child:
    """granian: 0.53 CPU-s per 1,000 registrations against 0.87 and more of the others (platform.md 5)."""
    return Child(
        name="web",
        command=[
            str(Path(sys.executable).with_name("granian")),
            *("--interface", "wsgi", "--host", host, "--port", str(port)),
            *("--workers", str(settings.WEB_WORKERS)),
            # more threads than work at a time: those that wait for a body use nothing (console/slow_bodies.py)
            *("--blocking-threads", "16", "--backpressure", "512", "--respawn-failed-workers"),
            # HTTP/2 without TLS has no client here, and a hundred bodies on one connection
            *("--http", "1", "--no-ws", "--http1-header-read-timeout", "10000"),
            *("--no-access-log", "--log-level", "error"),  # it warns of every number of threads above twice the cores
            "console.wsgi:application",
        ],
    )


def wait_for_web(port: int, web: Child, timeout_s: float = 30.0) -> None:
    """Until the login page answers. Raises CannotStart."""
    give_up_at = time.monotonic() + timeout_s
    while time.monotonic() < give_up_at and web.is_running:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/login/", timeout=5)  # noqa: S310
        except urllib.error.HTTPError:
            return  # it answers, if only to say that this host name is not the public one
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise CannotStart("The web server did not answer; its log says why.")
