"""How long people wait for a page when there is a lot: 1,000,000 devices and deliveries, 100,000 messages."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from devices import audience
from devices.audience import AudienceSpec
from devices.models import Application, Channel
from devices.push_services import Os, PushService
from messaging import database
from messaging.ledger import fired_on
from messaging.models import Message, MessageStatus, Occurrence, OccurrenceState
from messaging.partitions import ensure_partition
from tests.benchmarks.populations import MOST_DEVICES, populate
from tests.benchmarks.report import Report
from tests.console.static_files import serve_uncollected

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_old_deliveries"),
]

_RUNS = 7
_MESSAGES = MOST_DEVICES // 10
_TITLE = f"Pages at {MOST_DEVICES:,} devices, {MOST_DEVICES:,} deliveries of one campaign, {_MESSAGES:,} messages"
_NOTE = f"""Server time of a request in one process, with sign-in, queries and template, without the network; first
after the data was loaded, then the median and the slowest of {_RUNS}, with the mean CPU time of that process, which
a busy machine changes less. Queries include those of the session."""
_COUNT_TITLE = f"Audience count at {MOST_DEVICES:,} devices"

# every 100th device failed, for one of two reasons; every 50,000th for a rare one
_DELIVERIES = """
INSERT INTO messaging_delivery (fired_on, occurrence_id, registration_id, push_service, outcome, reason, http_status,
                                provider_id, detail, tries, finished_at)
SELECT %(day)s, %(occurrence)s, id, push_service,
       CASE WHEN id %% 100 = 0 THEN 'failed' ELSE 'accepted' END,
       CASE WHEN id %% 50000 = 0 THEN 'PayloadTooLarge' WHEN id %% 200 = 0 THEN 'TooManyRequests'
            WHEN id %% 100 = 0 THEN 'InternalServerError' ELSE '' END,
       CASE WHEN id %% 100 = 0 THEN 500 ELSE 200 END, 'projects/clarion-demo/messages/0', '', 1, now()
FROM devices_deviceregistration ORDER BY id
"""
_BATCHES = """
INSERT INTO messaging_batch (occurrence_id, push_service, registration_ids, state, due_at, tries, turn, attempt, begun,
                             owner, targeted, accepted, failed, skipped)
SELECT %(occurrence)s, push_service, array_agg(id), 'done', now(), 0, 0, 1, 0, '', count(*),
       count(*) FILTER (WHERE id %% 100 <> 0), count(*) FILTER (WHERE id %% 100 = 0), 0
FROM devices_deviceregistration GROUP BY push_service, id / 2000
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to look at."""

    browser: RequestFactory
    handler: WSGIHandler
    application: Application
    channel: Channel
    campaign: Message

    def get(self, page: str, **query: object) -> Callable[[], None]:
        """A request for a page of the application, which must succeed."""
        return self._asking(page, query, {})

    def part(self, page: str, **query: object) -> Callable[[], None]:
        """A request of htmx for a part of a page."""
        return self._asking(page, query, {"HX-Request": "true"})

    def preview(self) -> None:
        """What the composer asks for while somebody types, with nothing counted lately."""
        cache.clear()
        form = {"audience": "everyone", "channel": self.channel.name, "message": "Everything at half price"}
        path = f"/apps/{self.application.application_id}/compose/preview/"
        self._send(self.browser.post(path, form, headers={"HX-Request": "true"}))

    def _asking(self, page: str, query: dict[str, object], headers: dict[str, str]) -> Callable[[], None]:
        path = f"/apps/{self.application.application_id}/{page}"
        return lambda: self._send(self.browser.get(path, query, headers=headers))

    def _send(self, request: HttpRequest) -> None:
        # without the test client, which copies the context of every template that is rendered
        request._dont_enforce_csrf_checks = True
        answer = self.handler.get_response(request)
        assert answer.status_code in (200, 286)  # 286: htmx need not ask again


@pytest.fixture
def scene(transactional_db: None, client: Client, settings: Settings, tmp_path: Path) -> Iterator[Scene]:
    """A large campaign that ended, after many small ones."""
    serve_uncollected(settings, tmp_path)
    application = Application.objects.create(name="Benchmark")
    services = (PushService.APNS, PushService.FCM)
    channel = populate(application, "everybody", services, devices=MOST_DEVICES)
    _small_campaigns(channel)
    occurrence = _large_campaign(channel)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    client.force_login(User.objects.create_superuser("bench"))
    browser = RequestFactory()
    browser.cookies = client.cookies
    yield Scene(browser, WSGIHandler(), application, channel, occurrence.message)


def test_pages(scene: Scene, report: Report) -> None:
    report.describe_database()
    last_device = scene.application.registrations.latest("pk").pk
    campaign = f"messages/{scene.campaign.message_id}/"
    pages: dict[str, Callable[[], None]] = {
        "dashboard": scene.get(""),
        "message": scene.get(campaign),
        "message, moving part": scene.part(f"{campaign}progress/", was="Done, partly failed"),
        "device table, first page": scene.part(f"{campaign}deliveries/"),
        "device table, deep": scene.part(f"{campaign}deliveries/", after=last_device - last_device // 10),
        "device table, one rare reason": scene.part(f"{campaign}deliveries/", reason="PayloadTooLarge"),
        "device table, one device": scene.part(f"{campaign}deliveries/", device="everybody-777"),
        "campaigns, first page": scene.get("messages/"),
        "campaigns, deep": scene.get("messages/", before=scene.campaign.pk - _MESSAGES + 100),
        "campaigns, one tab": scene.get("messages/", status="failed"),
        "campaigns, search": scene.get("messages/", q="tulips"),
        "devices, first page": scene.get("devices/"),
        "devices, deep": scene.get("devices/", after=last_device - last_device // 10),
        "devices, search": scene.get("devices/", q="everybody-777"),
        "devices, one channel, deep": scene.get("devices/", channel="everybody", after=last_device - 1_000),
        "composer": scene.get("compose/"),
        "composer, while typing": scene.preview,
    }
    for name, ask in pages.items():
        report.add(_TITLE, {"page": name} | _times(ask), note=_NOTE)


def test_audience_count(scene: Scene, report: Report) -> None:
    oses: dict[str, tuple[Os, ...]] = {"every OS": tuple(Os), "iOS": (Os.IOS,)}
    for name, wanted in oses.items():
        spec = AudienceSpec(application_pk=scene.application.pk, channel_pk=scene.channel.pk, oses=wanted)
        report.add(_COUNT_TITLE, {"audience": f"{name} of a channel"} | _times(partial(audience.count, spec)))
    everybody = AudienceSpec(application_pk=scene.application.pk, channel_pk=scene.channel.pk, oses=tuple(Os))
    assert sum(found.devices for found in audience.count(everybody)) == MOST_DEVICES


def _small_campaigns(channel: Channel) -> None:
    """One a minute, long done; every 5,000th is about tulips."""
    now = database.now()
    messages = Message.objects.bulk_create(
        (
            Message(
                application=channel.application,
                channel=channel,
                channel_name=channel.name,
                body=f"Offer {n} {'with tulips' if n % 5_000 == 0 else 'of the day'}",
                push_broadcast=15,
                status=MessageStatus.PUBLISHED,
            )
            for n in range(_MESSAGES)
        ),
        batch_size=2_000,
    )
    Occurrence.objects.bulk_create(
        (
            Occurrence(
                message=message,
                due_at=(due_at := now - timedelta(minutes=_MESSAGES - n)),
                state=OccurrenceState.DONE,
                claimed_at=due_at,
                first_request_at=due_at,
                last_outcome_at=due_at,
                closed_at=due_at,
                targeted=100,
                accepted=98,
                failed=2,
            )
            for n, message in enumerate(messages)
        ),
        batch_size=2_000,
    )


def _large_campaign(channel: Channel) -> Occurrence:
    """Sent to every device two hours ago, with what it left in the tables."""
    due_at = database.now() - timedelta(hours=2)
    message = Message.objects.create(
        application=channel.application,
        channel=channel,
        channel_name=channel.name,
        body="Everything at half price until Sunday",
        push_broadcast=15,
        status=MessageStatus.PUBLISHED,
    )
    failed = MOST_DEVICES // 100
    occurrence = Occurrence.objects.create(
        message=message,
        due_at=due_at,
        state=OccurrenceState.DONE,
        claimed_at=due_at,
        planned_at=due_at,
        first_request_at=due_at,
        last_outcome_at=due_at + timedelta(minutes=1),
        closed_at=due_at + timedelta(minutes=1),
        targeted=MOST_DEVICES,
        accepted=MOST_DEVICES - failed,
        failed=failed,
    )
    ensure_partition(fired_on(occurrence))
    with connection.cursor() as cursor:
        cursor.execute(_DELIVERIES, {"day": fired_on(occurrence), "occurrence": occurrence.pk})
        cursor.execute(_BATCHES, {"occurrence": occurrence.pk})
    return occurrence


def _times(ask: Callable[[], object]) -> dict[str, str]:
    first = _milliseconds(ask)
    cpu_before = time.process_time()
    others = [_milliseconds(ask) for _ in range(_RUNS)]
    cpu_ms = 1000 * (time.process_time() - cpu_before) / _RUNS
    with CaptureQueriesContext(connection) as queries:
        ask()
    return {
        "queries": str(len(queries)),
        "first": f"{first:.0f} ms",
        "median": f"{statistics.median(others):.0f} ms",
        "slowest": f"{max(others):.0f} ms",
        "CPU, Python": f"{cpu_ms:.0f} ms",
    }


def _milliseconds(ask: Callable[[], object]) -> float:
    started = time.perf_counter()
    ask()
    return 1000 * (time.perf_counter() - started)
