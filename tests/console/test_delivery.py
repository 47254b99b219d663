"""Repeats, expiry, doubt and speed: what the form says becomes the request, is shown before, and is cloned."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client

from console.form_delivery import firing_plan
from console.forms import ComposeForm, initial_from, typed_form
from devices.models import Application
from messaging import database
from messaging.models import Message, OccurrenceState
from messaging.publishing import PublishRequest, request_of
from tests.console.rows import address, compose_values, make_message, make_occurrence

FAR = "2027-06-01T12:00"


def filled(application: Application, **changes: Any) -> ComposeForm:
    typed = QueryDict(mutable=True)
    for name, value in compose_values(**changes).items():
        typed.setlist(name, value if isinstance(value, list) else [value])
    return ComposeForm(typed, application=application)


@pytest.mark.parametrize(
    ("changes", "cron"),
    [
        ({"repeat": "daily", "repeat_time": "09:30"}, "30 9 * * *"),
        ({"repeat": "weekly", "repeat_time": "09:30", "repeat_weekdays": ["1", "5"]}, "30 9 * * 1,5"),
        ({"repeat": "monthly", "repeat_time": "00:00", "repeat_day": "L"}, "0 0 L * *"),
        ({"repeat": "cron", "repeat_cron": " */5  8-17 * * 1-5 "}, "*/5 8-17 * * 1-5"),
    ],
)
def test_wall_clock_repeats_become_cron_in_their_zone(
    application: Application, changes: dict[str, Any], cron: str
) -> None:
    form = filled(application, zone="Europe/Berlin", **changes)

    assert form.is_valid(), form.errors
    request = form.to_publish_request()
    assert (request.cron, request.cron_zone, request.repeat_every) == (cron, "Europe/Berlin", None)


def test_intervals_expiry_doubt_and_speed_become_the_request(application: Application) -> None:
    form = filled(
        application,
        **{"repeat": "interval", "repeat_count": "90", "repeat_unit": "minutes", "repeat_until": FAR, "zone": "UTC"},
        **{"ttl_count": "2", "ttl_unit": "hours", "in_doubt": "skip", "requests_per_second": "200"},
    )

    assert form.is_valid(), form.errors
    request = form.to_publish_request()
    assert request.repeat_every == timedelta(minutes=90)
    assert request.repeat_expires_at == datetime(2027, 6, 1, 12, tzinfo=UTC)
    assert (request.ttl, request.in_doubt, request.requests_per_second) == (timedelta(hours=2), "skip", 200)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"repeat": "interval"}, "repeat_count"),
        ({"repeat": "interval", "repeat_count": "0"}, "repeat_count"),
        ({"repeat": "interval", "repeat_count": "31536000", "repeat_unit": "days"}, "repeat_count"),
        ({"repeat": "daily"}, "repeat_time"),
        ({"repeat": "weekly", "repeat_time": "09:30"}, "repeat_weekdays"),
        ({"repeat": "monthly", "repeat_time": "09:30", "repeat_day": "32"}, "repeat_day"),
        ({"repeat": "cron", "repeat_cron": "every day"}, "repeat_cron"),
        ({"repeat": "cron", "repeat_cron": "0 0 31 2 *"}, "repeat_cron"),
        ({"repeat": "cron", "repeat_cron": ""}, "repeat_cron"),
        ({"repeat": "daily", "repeat_time": "09:30", "repeat_until": "2020-01-01T00:00"}, "repeat_until"),
        ({"repeat": "daily", "repeat_time": "09:30", "repeat_until": "soon"}, "repeat_until"),
        ({"ttl_count": "-1"}, "ttl_count"),
        ({"requests_per_second": "0"}, "requests_per_second"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(application: Application, changes: dict[str, Any], field: str) -> None:
    form = filled(application, **changes)

    assert not form.is_valid()
    assert field in form.errors


def test_the_next_five_firings_are_shown_in_the_zone_and_in_utc(page: Client, application: Application) -> None:
    values = compose_values(repeat="daily", repeat_time="09:30", zone="Asia/Kolkata")

    html = page.post(address(application, "compose/preview/"), values).content.decode()

    assert "Next 5 firings" in html
    assert "Schedule for 5 devices" in html
    assert html.count("09:30:00 Asia/Kolkata") == 5
    assert html.count("04:00:00 UTC") == 5
    assert "Repeats until you cancel it." in html


def test_a_repeat_over_a_skipped_hour_fires_after_the_gap() -> None:
    request = PublishRequest(
        channel_name="default",
        body="",
        cron="30 2 * * *",
        cron_zone="Europe/Berlin",
        publish_at=datetime(2027, 3, 28, 0, 0, tzinfo=UTC),
    )

    plan = firing_plan(request, "Europe/Berlin")

    assert plan is not None
    assert f"{plan.moments[0].local:%H:%M}" == "03:00"


@pytest.mark.parametrize(
    "values",
    [
        {"cron": "30 9 * * 1,5", "cron_zone": "Europe/Berlin"},
        {"cron": "30 9 31 * *", "cron_zone": "Europe/Berlin"},
        {"cron": "*/5 * * * *", "cron_zone": "UTC"},
        {"repeat_every": timedelta(seconds=90)},
        {"repeat_every": timedelta(days=1), "repeat_expires_at": datetime(2027, 6, 1, 12, 0, 30, tzinfo=UTC)},
        {"ttl": timedelta(hours=36), "in_doubt": "skip", "requests_per_second": 20},
        {"publish_at": datetime(2027, 6, 1, 12, 0, 5, tzinfo=UTC)},
    ],
)
def test_cloning_keeps_how_a_message_is_delivered(application: Application, values: dict[str, Any]) -> None:
    message = make_message(application, headers={"ios-badge": "3"}, **values)

    form = typed_form(initial_from(request_of(message)), application)

    assert form.is_valid(), form.errors
    assert form.to_publish_request() == request_of(message)


def test_a_scheduled_message_is_edited_in_the_form_and_audited(page: Client, application: Application) -> None:
    message = make_message(application, publish_at=database.now() + timedelta(hours=1))
    make_occurrence(message)
    path = address(application, f"messages/{message.message_id}/edit/")
    html = page.get(path).content.decode()
    version = re.search(r'name="seen_version" value="(\d+)"', html)
    assert version

    values = compose_values(body="Coffee is cold", when="later", send_on=FAR, zone="UTC", seen_version=version[1])
    page.post(path, values)

    message.refresh_from_db()
    assert (message.body, message.occurrences.get().due_at) == ("Coffee is cold", datetime(2027, 6, 1, 12, tzinfo=UTC))
    again = page.post(path, {**values, "body": "Coffee is gone"}).content.decode()
    assert "Somebody else has changed it" in again
    assert "Coffee is gone" in again  # what was typed is not lost
    page_html = page.get(address(application, f"messages/{message.message_id}/")).content.decode()
    assert "Changed by maria" in page_html


def test_a_message_that_has_begun_offers_no_edit(page: Client, application: Application) -> None:
    message = make_message(application)
    occurrence = make_occurrence(message)
    path = address(application, f"messages/{message.message_id}/")
    assert b"/edit/" in page.get(path).content

    occurrence.state = OccurrenceState.PLANNING
    occurrence.save()

    assert b"/edit/" not in page.get(path).content
    refused = page.post(f"{path}edit/", compose_values(seen_version="1"))
    assert b"It has begun" in refused.content
    assert Message.objects.get().body == "Coffee is ready"
