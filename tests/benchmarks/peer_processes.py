"""Senders from npm and PyPI, each a process that is told when to send, so that its start is not counted against it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.push_services import PushService
from messaging.simulators.accounts import demo_accounts
from tests.benchmarks.process_trees import ProcessTree
from tests.benchmarks.provider_stand_in import StandIn

_FOLDER = Path(__file__).with_name("peers")
_VENV = Path(__file__).parents[2] / ".venv"
_PYTHON = (str(_FOLDER / ".venv/bin/python"), "django_push.py")
#: requests that open the connections before anything is measured
WARM_UP = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Somebody else's sender."""

    name: str  #: with the version
    command: tuple[str, ...]
    service: PushService
    devices: int  #: bounded: the slow ones would take minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCost:
    """What the peer needed."""

    cpu_per_1000: float  #: of its whole process tree
    rate: float  #: devices per second
    failed: int = 0  #: not accepted, for reasons of the peer's own: the provider takes everything


PEERS = (
    Peer(
        name="@parse/node-apn 8.1.0",
        command=("node", "node_apn.js"),
        service=PushService.APNS,
        devices=50_000,
    ),
    Peer(
        name="django-push-notifications 3.3.0 (aioapns 3.3.1)",
        command=_PYTHON,
        service=PushService.APNS,
        devices=10_000,
    ),
    Peer(
        name="django-push-notifications 3.3.0 (firebase-admin 7.7.0)",
        command=_PYTHON,
        service=PushService.FCM,
        devices=2_000,
    ),
    Peer(
        name="web-push 3.6.7",
        command=("node", "web_push.js"),
        service=PushService.WEBPUSH,
        devices=5_000,
    ),
    Peer(
        name="django-push-notifications 3.3.0 (pywebpush 2.5.0)",
        command=_PYTHON,
        service=PushService.WEBPUSH,
        devices=1_000,
    ),
)


def install_peers() -> None:
    """At the versions of their lock files; nothing to do the next time."""
    subprocess.run([_FOLDER / "install.sh"], check=True)


def node_version() -> str:
    """As in `24.19.0`: the one of the virtual environment, which runs the peers from npm."""
    answer = subprocess.run([_VENV / "bin/node", "--version"], capture_output=True, text=True, check=True)
    return answer.stdout.strip().removeprefix("v")


def cost_of_peer(peer: Peer, tokens: Sequence[str], provider: StandIn) -> PeerCost:
    """Send to all but the first `WARM_UP` tokens."""
    job = provider.folder / "job.json"
    job.write_text(json.dumps(_job(peer, tokens, provider)))
    environment = {
        **os.environ,
        "PATH": f"{_VENV / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "SSL_CERT_FILE": str(provider.ca_file),
        "REQUESTS_CA_BUNDLE": str(provider.ca_file),
    }
    with subprocess.Popen(
        [*peer.command, str(job)],
        cwd=_FOLDER,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            return _measured(process, len(tokens) - WARM_UP)
        finally:
            process.kill()


def _measured(process: subprocess.Popen[str], devices: int) -> PeerCost:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    tree = ProcessTree((process.pid,))
    before = tree.cpu_seconds()
    process.stdin.write("go\n")
    process.stdin.flush()
    result: dict[str, Any] = json.loads(process.stdout.readline())
    used = tree.cpu_seconds() - before
    assert result["accepted"] + result["failed"] == devices
    return PeerCost(cpu_per_1000=1000 * used / devices, rate=devices / result["seconds"], failed=result["failed"])


def _job(peer: Peer, tokens: Sequence[str], provider: StandIn) -> dict[str, Any]:
    accounts = demo_accounts(provider.folder, {"google_token": f"{provider.url}/token"})
    return {
        "service": peer.service.value,
        "folder": str(provider.folder),
        "port": provider.port,
        "ca_text": provider.ca_file.read_text(),
        "title": "Spring sale",
        "text": "Everything at half price until Sunday",
        "warm_up": WARM_UP,
        "devices": list(tokens),
        "apns_key": accounts["apns"]["key"],
        "vapid_key": accounts["webpush"]["private_key"],
        "service_account": accounts["fcm"],
    }
