"""Clarion as it runs in production: its own processes on a durable database, started and stopped by the benchmark."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from console import postgres
from console.processes import Child, stop_all
from console.startup import collect_static, wait_for_web, web_server
from devices.models import Application, Channel
from devices.push_services import OsMask, PushService
from messaging import database, heartbeat
from messaging.models import Lane, Message, Occurrence
from messaging.publishing import Publisher, PublishRequest, publish
from messaging.secrets import store_credential
from messaging.simulators.accounts import demo_accounts
from tests.benchmarks.process_trees import ProcessTree
from tests.benchmarks.provider_stand_in import StandIn

READY_S = 60.0


def postgres_tree() -> ProcessTree:
    """The server of the session: the postmaster, whose children are its connections and helpers."""
    lines = (Path(settings.DATA_DIR) / "postgres" / "postmaster.pid").read_text().splitlines()
    return ProcessTree((int(lines[0]),))


def environment(provider: StandIn) -> dict[str, str]:
    """What Clarion's processes need to work on the benchmark's database and send to the stand-in."""
    address = postgres.running(settings.DATA_DIR)
    if address is None:
        pytest.skip("the benchmarks measure their own PostgreSQL: unset DATABASE_URL and TEST_DATABASE_URL")
    url = replace(address, database=connection.settings_dict["NAME"]).url
    return {
        "DATABASE_URL": url,
        "CLARION_LOG_LEVEL": "WARNING",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        **provider.environment,
    }


def tree_of(children: Sequence[Child]) -> ProcessTree:
    """The processes and all they started."""
    return ProcessTree(tuple(child.process.pid for child in children if child.process is not None))


@contextmanager
def running_sender(provider: StandIn) -> Iterator[ProcessTree]:
    """A ticker and a group of workers, idle and ready."""
    children = [clarion_command(name, environment(provider)) for name in ("ticker", "workers")]
    with running(children):
        wait_until(lambda: heartbeat.live_workers() > 0, READY_S)
        yield tree_of(children)


@contextmanager
def running_web(provider: StandIn, port: int) -> Iterator[ProcessTree]:
    """The web server as `manage.py up` starts it."""
    collect_static()
    web = replace(web_server("127.0.0.1", port), env=environment(provider))
    with running([web]):
        wait_for_web(port, web)
        assert web.process is not None
        yield ProcessTree((web.process.pid,))


def application_with_credentials(provider: StandIn) -> Application:
    """An application whose pushes go to the stand-in."""
    application = Application.objects.create(name="Benchmark")
    accounts = demo_accounts(provider.folder, {"google_token": f"{provider.url}/token"})
    for service in (PushService.APNS, PushService.FCM, PushService.WEBPUSH):
        store_credential(application, service, accounts[service.value])
    # without FCM's quota, which lets no more than 10,000 a second out and ramps up for a minute
    Lane.objects.create(application=application, push_service=PushService.FCM, requests_per_second=0)
    return application


def publish_to(channel: Channel) -> Occurrence:
    """A message with a title, a text and a badge to everybody in the channel, as a marketer would send it."""
    request = PublishRequest(
        channel_name=channel.name,
        body="Everything at half price until Sunday",
        headers={
            "android-ticker-text": "Spring sale",
            "android-content-title": "Spring sale",
            "android-content-text": "Everything at half price until Sunday",
            "ios-alert-title": "Spring sale",
            "ios-alert-body": "Everything at half price until Sunday",
            "ios-badge": "1",
        },
        push_broadcast=OsMask.ALL,
    )
    message: Message = publish(application=channel.application, request=request, publisher=Publisher(may_publish=True))
    return message.occurrences.get()


def send_to_all(channel: Channel, *, timeout_s: float) -> tuple[Occurrence, float]:
    """Publish and wait until every outcome is stored: the closed occurrence, and seconds from before to closed."""
    started_at = database.now()
    occurrence = publish_to(channel)
    wait_until(lambda: Occurrence.objects.exclude(closed_at=None).filter(pk=occurrence.pk).exists(), timeout_s)
    occurrence.refresh_from_db()
    assert occurrence.closed_at is not None
    return occurrence, (occurrence.closed_at - started_at).total_seconds()


def wait_until(condition: Callable[[], bool], timeout_s: float) -> None:
    """Look five times a second, so that the looking costs nothing beside what is measured."""
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at, f"nothing happened for {timeout_s} s"
        time.sleep(0.2)


def clarion_command(name: str, env: Mapping[str, str]) -> Child:
    """`manage.py <name>`, not yet started."""
    return Child(name=name, command=[sys.executable, "manage.py", name], env=env)


@contextmanager
def running(children: Sequence[Child]) -> Iterator[None]:
    """Start the processes; stop them at the end."""
    try:
        for child in children:
            child.start()
        yield
    finally:
        stop_all(children, timeout_s=15)
