"""Numbers for monitors: what the counters count, and what stays cheap."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from pytest_django import DjangoAssertNumQueries

from devices.models import DeviceRegistration
from devices.push_services import PushService
from messaging import heartbeat, lanes
from messaging.closing import close_if_finished
from messaging.drain import Drain
from messaging.metrics import exposition
from messaging.models import Occurrence, OccurrenceState, WorkerGroup
from tests.factories import make_application, make_registration
from tests.messaging.stage import Stage, finish

LINE = re.compile(r'([a-z_]+)\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*)\} (\S+)')


def values(text: str, name: str, **labels: str) -> list[float]:
    """The values of a name whose labels include these."""
    wanted = {f'{label}="{content}"' for label, content in labels.items()}
    found = [match.groups() for line in text.splitlines() if (match := LINE.fullmatch(line))]
    return [float(value) for known, given, value in found if known == name and wanted <= set(given.split(","))]


def test_every_line_is_a_comment_or_a_sample_of_the_family_above_it(db: None) -> None:
    make_registration(make_application())
    heartbeat.announce("host:1:workers", kind="workers", workers=2)
    family = ""
    for line in exposition().splitlines():
        if line.startswith("#"):
            family = line.split()[2]
        else:
            match = LINE.fullmatch(line)
            assert match is not None, line
            assert match[1].startswith(family)


def test_outcomes_are_counted_by_push_service_and_reason(stage: Stage) -> None:
    stage.devices(20)
    stage.devices(3, behaviour="dead")
    stage.devices(5, "IOS")
    stage.send("ANDROID", "IOS")

    text = exposition()

    assert values(text, "clarion_outcomes_total", push_service="fcm", result="accepted") == [20]
    assert values(text, "clarion_outcomes_total", push_service="fcm", outcome="gone", reason="UNREGISTERED") == [3]
    assert values(text, "clarion_outcomes_total", push_service="apns", result="accepted") == [5]


def test_counters_only_grow(stage: Stage) -> None:
    stage.devices(7)
    for expected in (7, 14):
        stage.send("ANDROID")
        assert values(exposition(), "clarion_outcomes_total", result="accepted") == [expected]


def test_a_device_that_is_tried_again_is_counted_once(stage: Stage) -> None:
    stage.devices(4, behaviour="500x1")

    finish(stage.start("ANDROID"))

    assert values(exposition(), "clarion_outcomes_total") == [4]


def test_what_waits_is_shown_until_it_is_sent(stage: Stage) -> None:
    stage.devices(6)
    lanes.pause(stage.application.pk, PushService.FCM, "Key revoked")
    stage.start("ANDROID")
    Drain().run()

    text = exposition()

    assert values(text, "clarion_open_batches", push_service="fcm", state="waiting") == [1]
    assert values(text, "clarion_pending_devices", push_service="fcm", state="waiting") == [6]
    assert values(text, "clarion_oldest_batch_seconds", push_service="fcm")[0] > 0
    assert values(text, "clarion_lanes", push_service="fcm", state="paused") == [1]
    assert values(text, "clarion_open_firings", state="sending") == [1]


def test_a_firing_no_ticker_claims_is_shown_with_its_lateness(stage: Stage) -> None:
    occurrence = stage.publish("ANDROID")
    Occurrence.objects.filter(pk=occurrence.pk).update(due_at=Now() - timedelta(seconds=90))

    text = exposition()

    assert values(text, "clarion_open_firings", state="due") == [1]
    assert values(text, "clarion_oldest_due_firing_seconds")[0] == pytest.approx(90, abs=5)


def end(occurrence: Occurrence, **since_due: timedelta) -> None:
    """Let the firing end, so long after its due moment."""
    moments = {name: occurrence.due_at + after for name, after in since_due.items()}
    Occurrence.objects.filter(pk=occurrence.pk).update(state=OccurrenceState.SENDING, planned_at=Now(), **moments)
    assert close_if_finished(occurrence.pk)


def test_latencies_are_histograms_that_only_grow(stage: Stage) -> None:
    for lag_s in (0.3, 0.5, 700):
        end(stage.publish("ANDROID"), first_request_at=timedelta(seconds=lag_s))
    Occurrence.objects.update(closed_at=Now() - timedelta(days=90))

    text = exposition()

    assert values(text, "clarion_start_lag_seconds_bucket", le="0.25") == [0]
    assert values(text, "clarion_start_lag_seconds_bucket", le="0.5") == [2]
    assert values(text, "clarion_start_lag_seconds_bucket", le="600") == [2]
    assert values(text, "clarion_start_lag_seconds_bucket", le="+Inf") == [3]
    assert values(text, "clarion_start_lag_seconds_sum") == pytest.approx([700.8])
    assert values(text, "clarion_finish_seconds_count") == [3]


def test_a_firing_without_a_request_has_no_latency(stage: Stage) -> None:
    end(stage.publish("ANDROID"))

    assert values(exposition(), "clarion_start_lag_seconds_count") == [0]


def test_heartbeats_have_an_age_and_groups_their_workers(db: None) -> None:
    heartbeat.announce("host:1:workers", kind="workers", workers=4)
    heartbeat.announce("host:2:ticker", kind="ticker")

    text = exposition()

    assert values(text, "clarion_workers") == [4]
    assert len(values(text, "clarion_heartbeat_age_seconds")) == 2


def test_a_dead_group_has_no_workers(db: None) -> None:
    heartbeat.announce("host:1:workers", kind="workers", workers=4)
    WorkerGroup.objects.update(seen_at=Now() - timedelta(minutes=1))

    assert values(exposition(), "clarion_workers") == [0]


def test_devices_are_counted_by_push_service_and_state(transactional_db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM devices_deviceregistration")  # pages that others left behind would make it an estimate
    application = make_application()
    for _ in range(3):
        make_registration(application)
    make_registration(application, "IOS")
    DeviceRegistration.objects.filter(os="IOS").update(state="gone")

    text = exposition()

    assert values(text, "clarion_devices", push_service="fcm", state="active") == [3]
    assert values(text, "clarion_devices", push_service="apns", state="gone") == [1]


def test_a_large_table_of_devices_is_estimated_within_a_tenth(db: None) -> None:
    application = make_application()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE devices_deviceregistration CASCADE")  # with the pages of rows that others left behind
        cursor.execute(
            "INSERT INTO devices_deviceregistration (registration_id, application_id, device_id, token, token_digest, "
            "os, os_version, push_service, user_id, locale, time_zone, attributes, state, gone_reason) "
            "SELECT gen_random_uuid(), %s, n, repeat('t', 160), sha256(n::text::bytea), 'ANDROID', '', 'fcm', '', '', "
            "'', '{}', 'active', '' FROM generate_series(1, 60000) n",
            [application.pk],
        )

    def estimate() -> float:
        return values(exposition(), "clarion_devices", push_service="fcm", state="active")[0]

    assert estimate() == pytest.approx(60_000, rel=0.1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE devices_deviceregistration")
    assert estimate() == pytest.approx(60_000, rel=0.02)


def test_the_number_of_queries_does_not_grow(stage: Stage, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for _ in range(3):
        stage.devices(2)
        stage.send("ANDROID")
        with django_assert_num_queries(10):
            exposition()


def test_names_of_push_services_words_are_escaped(stage: Stage) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messaging_outcomecount (push_service, outcome, reason, devices) "
            "VALUES ('wns', 'failed', %s, 1)",
            ['a "b" \\ c\nd'],
        )

    assert r'reason="a \"b\" \\ c\nd"} 1' in exposition()


def test_the_version_is_told(db: None) -> None:
    assert values(exposition(), "clarion_info", version=settings.VERSION) == [1]
