"""The compose form turns what people type into a publish request, or says what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import QueryDict
from django.utils import timezone

from console.forms import ComposeForm
from console.wall_clock import RepeatedHour, SkippedHour, moment_at
from devices.models import Application
from devices.push_services import OsMask
from tests.console.rows import compose_values


def filled(application: Application, **changes: Any) -> ComposeForm:
    """A form as posted by a browser."""
    typed = QueryDict(mutable=True)
    for name, value in compose_values(**changes).items():
        typed.setlist(name, value if isinstance(value, list) else [value])
    return ComposeForm(typed, application=application)


def test_os_boxes_become_the_broadcast_mask(application: Application) -> None:
    form = filled(application, oses=["ANDROID", "WP", "OSX"])

    assert form.is_valid(), form.errors
    assert form.to_publish_request().push_broadcast == OsMask.ANDROID | OsMask.WP | OsMask.OSX


def test_everyone_is_a_choice_of_its_own(application: Application) -> None:
    form = filled(application, audience="everyone", oses=[])

    assert form.is_valid(), form.errors
    assert form.to_publish_request().push_broadcast == OsMask.ALL


def test_device_ids_are_split_and_counted_once(application: Application) -> None:
    form = filled(application, audience="devices", device_ids="a, b\r\n\r\nc,a")

    assert form.is_valid(), form.errors
    request = form.to_publish_request()
    assert request.push_singlecast == ("a", "b", "c")
    assert request.push_broadcast is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"audience": ""}, "audience"),
        ({"oses": []}, "oses"),
        ({"audience": "devices", "device_ids": " , "}, "device_ids"),
        ({"body": ""}, "body"),
        ({"body": "a\x07b"}, "body"),
        ({"ios_badge": "many"}, "ios_badge"),
        ({"channel": "", "new_channel": "a/b"}, "new_channel"),
        ({"channel": "", "new_channel": ""}, "new_channel"),
        ({"header_name": ["a", "a"], "header_value": ["1", "2"]}, "headers"),
        ({"header_name": [""], "header_value": ["1"]}, "headers"),
        ({"header_name": ["ios-badge"], "header_value": ["1"]}, "headers"),
        ({"header_name": ["a"], "header_value": ["1\r\nb: 2"]}, "headers"),
        ({"when": "later", "send_on": ""}, "send_on"),
        ({"when": "later", "send_on": "2020-01-01T10:00", "zone": "UTC"}, "send_on"),
        ({"when": "later", "send_on": "2999-01-01T10:00", "zone": "UTC"}, "send_on"),
        ({"when": "later", "send_on": "0001-01-01T00:00", "zone": "Asia/Tokyo"}, "send_on"),
        ({"when": "later", "send_on": "2026-12-01T10:00", "zone": "Mars/Olympus"}, "zone"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(application: Application, changes: dict[str, Any], field: str) -> None:
    form = filled(application, **changes)

    assert not form.is_valid()
    assert field in form.errors


def test_headers_of_systems_not_chosen_stay_out(application: Application) -> None:
    form = filled(application, oses=["ANDROID"], ios_badge="3", header_name=["campaign"], header_value=["spring"])

    assert form.is_valid(), form.errors
    assert form.to_publish_request().headers == {"android-content-title": "Corner Coffee", "campaign": "spring"}


def test_a_wall_clock_time_is_read_in_its_zone(application: Application) -> None:
    tomorrow = (timezone.now() + timedelta(days=1)).astimezone(UTC)
    form = filled(application, when="later", send_on=f"{tomorrow:%Y-%m-%d}T12:00", zone="Asia/Kolkata")

    assert form.is_valid(), form.errors
    assert form.to_publish_request().publish_at == tomorrow.replace(hour=6, minute=30, second=0, microsecond=0)


def test_an_hour_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SkippedHour, match="03:30"):
        moment_at(datetime(2026, 3, 29, 2, 30), "Europe/Berlin", which=None)  # noqa: DTZ001


def test_an_hour_that_happens_twice_asks_which() -> None:
    wall = datetime(2026, 10, 25, 2, 30)  # noqa: DTZ001

    with pytest.raises(RepeatedHour):
        moment_at(wall, "Europe/Berlin", which=None)

    assert moment_at(wall, "Europe/Berlin", which=0).utc == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert moment_at(wall, "Europe/Berlin", which=1).utc == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
