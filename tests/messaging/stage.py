"""A stage for whole campaigns: an application whose push services are the running simulators, and what they saw."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from devices.models import Application, DeviceRegistration, RegistrationState, Subscription
from devices.push_services import NATIVE_PUSH_SERVICE, Os, PushService
from devices.registration import ensure_channels
from messaging.drain import Drain
from messaging.ledger import Ledger, deliveries_of, ledger_of
from messaging.models import Batch, Lane, LaneState, Message, Occurrence, WorkerGroup
from messaging.publishing import Publisher, PublishRequest, publish
from messaging.senders import SIMULATOR_FILE
from messaging.simulators.accounts import token_in_log
from messaging.simulators.runner import SimulatorHandle
from messaging.ticker import claim_due, sweep

#: what makes the audience rules reach each operating system
HEADERS = {"ANDROID": "android-content-text", "IOS": "ios-alert", "WP": "wp-content", "WEB": "web-text"}

_numbers = itertools.count(1)
T = TypeVar("T")


def wait_until(is_true: Callable[[], bool], timeout_s: float, what: str) -> float:
    """Seconds until the condition held; fails the test after `timeout_s`."""
    began = time.monotonic()
    while not is_true():
        assert time.monotonic() - began < timeout_s, f"waited {timeout_s} s for: {what}"
        time.sleep(0.05)
    return time.monotonic() - began


def in_threads(function: Callable[[], T], count: int) -> list[T]:
    """What `count` threads made of it at the same time, each with a database connection of its own."""
    barrier = threading.Barrier(count)

    def call(_number: int) -> T:
        barrier.wait()
        try:
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


def in_thread(function: Callable[[], T]) -> T:
    """What another connection to the database makes of it."""
    return in_threads(function, 1)[0]


def announce_simulators(simulators: SimulatorHandle) -> None:
    """Write the file that senders of simulated applications read."""
    (settings.DATA_DIR / SIMULATOR_FILE).write_text(json.dumps(simulators.urls))


def process_environment() -> dict[str, str]:
    """For child processes that work on the test's database, with the session's keys."""
    server = connection.settings_dict
    query = urlencode({name: server[name.upper()] for name in ("host", "port", "user", "password")})
    return {**os.environ, "DATABASE_URL": f"postgresql:///{server['NAME']}?{query}", "PYTHONUNBUFFERED": "1"}


def drain_process(*, quiet: bool = False) -> subprocess.Popen[bytes]:
    """Another process that drains once, as a worker does."""
    program = "import django; django.setup()\nfrom messaging.drain import Drain\nDrain().run()\n"
    environment = {**process_environment(), "DJANGO_SETTINGS_MODULE": "console.settings"}
    errors = subprocess.DEVNULL if quiet else None
    return subprocess.Popen([sys.executable, "-c", program], env=environment, cwd=settings.BASE_DIR, stderr=errors)


@dataclass(slots=True)
class Stage:
    """One simulated application. Tokens are found again in the simulators' log, which is the truth."""

    application: Application
    simulators: SimulatorHandle
    publisher: Publisher = field(default_factory=lambda: Publisher(may_publish=True))

    # devices

    def devices(
        self,
        count: int,
        os_name: str = "ANDROID",
        behaviour: str = "",
        *,
        channels: tuple[str, ...] = ("default",),
        **values: Any,
    ) -> list[DeviceRegistration]:
        """Registered devices with demo tokens."""
        rows = [self._device(Os(os_name), behaviour, values) for _ in range(count)]
        made = DeviceRegistration.objects.bulk_create(rows, batch_size=2_000)
        listening = [
            Subscription(channel=channel, registration=device)
            for channel in ensure_channels(self.application, list(channels))
            for device in made
        ]
        Subscription.objects.bulk_create(listening, batch_size=5_000)
        return made

    def _device(self, os_: Os, behaviour: str, values: dict[str, Any]) -> DeviceRegistration:
        number = next(_numbers)
        service = NATIVE_PUSH_SERVICE[os_]
        token = self.simulators.token(service.value, number, behaviour)
        return DeviceRegistration(
            application=self.application,
            device_id=f"device-{number}",
            token=token,
            token_digest=hashlib.sha256(token.encode()).digest(),
            os=os_,
            push_service=service,
            **values,
        )

    # campaigns

    def publish(self, *os_names: str, **values: Any) -> Occurrence:
        """Publish to the operating systems named, through their headers; the first occurrence."""
        headers = {HEADERS[name]: "Hello" for name in os_names} | values.pop("headers", {})
        request = PublishRequest(**{"channel_name": "default", "body": "Hello", "headers": headers, **values})
        message = publish(application=self.application, request=request, publisher=self.publisher)
        return message.occurrences.get()

    def start(self, *os_names: str, **values: Any) -> Occurrence:
        """Publish and let the ticker claim it."""
        occurrence = self.publish(*os_names, **values)
        claim_due()
        return occurrence

    def send(self, *os_names: str, **values: Any) -> Ledger:
        """Publish, claim and drain once."""
        occurrence = self.start(*os_names, **values)
        Drain().run()
        return ledger_of(fresh(occurrence))

    # what the simulators saw

    def requests(self, service: PushService | str | None = None) -> list[dict[str, Any]]:
        """Push requests, in the order they arrived."""
        return [entry for entry in self.simulators.requests() if service is None or entry["service"] == service]

    def requests_by_token(self) -> Counter[str]:
        """How often each token was sent to."""
        return Counter(str(entry["token"]) for entry in self.simulators.requests())

    def reached(self) -> set[str]:
        """Tokens that got at least one request."""
        return set(self.requests_by_token())

    def token_requests(self, service: str) -> int:
        """Access tokens asked of `google_token` or `wns_token`."""
        services: Any = self.simulators.counts()["services"]
        return sum(services[service].values())


def tokens(devices: Iterable[DeviceRegistration]) -> set[str]:
    """Tokens as the simulators' log writes them."""
    return {token_in_log(device.token) for device in devices}


def fresh(occurrence: Occurrence) -> Occurrence:
    """The occurrence as it stands now."""
    return Occurrence.objects.select_related("message").get(pk=occurrence.pk)


def message_of(occurrence: Occurrence) -> Message:
    """Its message as it stands now."""
    return Message.objects.get(pk=occurrence.message_id)


def bring_forward() -> None:
    """Let the waits of retries and throttled lanes be over, so that a test need not sit through them."""
    Batch.objects.filter(due_at__gt=Now()).update(due_at=Now())
    Lane.objects.filter(state=LaneState.THROTTLED).update(state=LaneState.OPEN, throttled_until=None)


def finish(occurrence: Occurrence, timeout_s: float = 20.0) -> Ledger:
    """Drain until the occurrence is closed, passing over every wait; checks the books after each step."""
    give_up_at = time.monotonic() + timeout_s
    while fresh(occurrence).closed_at is None:
        assert time.monotonic() < give_up_at, f"not closed: {ledger_of(fresh(occurrence))}"
        bring_forward()
        claim_due()
        Drain().run()
        sweep()
        check_books(occurrence)
    return ledger_of(fresh(occurrence))


def witness() -> None:
    """A group of workers that has been seen for a minute: silence means death only where somebody else was heard."""
    seen = {"kind": "workers", "seen_since": Now() - timedelta(minutes=1), "seen_at": Now()}
    WorkerGroup.objects.update_or_create(name="witness", defaults=seen)


def let_lease_lapse(occurrence: Occurrence) -> None:
    """What 45 s without a sign of life do to the batches of a dead process."""
    witness()
    Batch.objects.filter(occurrence=occurrence, state="sending").update(lease_until=Now() - timedelta(seconds=1))


def check_books(occurrence: Occurrence) -> Ledger:
    """Every counted outcome is a written delivery, and nothing is counted twice."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        row = fresh(occurrence)
        ledger = ledger_of(row)
        assert ledger.pending >= 0
        assert deliveries_of(row).count() == ledger.accepted + ledger.failed + ledger.skipped
    return ledger


def active(devices: Iterable[DeviceRegistration]) -> int:
    """How many of the devices are still reachable."""
    ids = [device.pk for device in devices]
    return DeviceRegistration.objects.filter(pk__in=ids, state=RegistrationState.ACTIVE).count()
