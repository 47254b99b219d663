"""How often, until when, how fast and what in doubt: the delivery fields of the compose form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from console.form_fields import LongSelect, PlainText
from console.wall_clock import Moment, RepeatedHour, SkippedHour, moment_at, zone_names
from messaging.models import InDoubtPolicy
from messaging.publishing import PublishRequest
from messaging.schedule import InvalidWallClock, Series, check_wall_clock, first_wall_clock_time, upcoming

FIRINGS_SHOWN = 5
_UNITS = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}
_UNIT_CHOICES = [(unit, unit) for unit in _UNITS]
#: weekdays as cron counts them
WEEKDAYS = [("1", "Mon"), ("2", "Tue"), ("3", "Wed"), ("4", "Thu"), ("5", "Fri"), ("6", "Sat"), ("0", "Sun")]
_CLOCK = ("daily", "weekly", "monthly")
#: 31,536,000 s: longer is a slip, and the column's interval is far from full
_LONGEST_S = 366 * 86_400
_LATEST_END = timedelta(days=3653)


@dataclass(frozen=True, slots=True)
class FiringPlan:
    """The first firings of a series, as they will be."""

    moments: list[Moment]
    is_endless: bool
    is_wall_clock: bool  #: the first one has its time too, it does not leave now


class DeliveryForm(forms.Form):
    """The part of the compose form that says when and how; `delivery_values` are fields of a `PublishRequest`."""

    zone = forms.ChoiceField(
        choices=lambda: [(name, name) for name in zone_names()],
        initial="UTC",
        required=False,
        label="Time zone",
        widget=LongSelect,
    )
    repeat = forms.ChoiceField(
        choices=[
            ("once", "Once"),
            ("interval", "Every so often"),
            ("daily", "Daily"),
            ("weekly", "Weekly"),
            ("monthly", "Monthly"),
            ("cron", "By cron expression"),
        ],
        initial="once",
        required=False,
        label="Repeat",
    )
    repeat_count = forms.IntegerField(required=False, min_value=1, max_value=_LONGEST_S, label="Every")
    repeat_unit = forms.ChoiceField(choices=_UNIT_CHOICES, initial="hours", required=False, label="Unit")
    repeat_time = forms.TimeField(
        required=False,
        label="At",
        widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
        input_formats=["%H:%M", "%H:%M:%S"],
    )
    repeat_weekdays = forms.MultipleChoiceField(choices=WEEKDAYS, required=False, label="On")
    repeat_day = forms.ChoiceField(
        choices=[*((str(day), str(day)) for day in range(1, 32)), ("L", "the last day")],
        required=False,
        initial="1",
        label="On day",
    )
    repeat_cron = PlainText(required=False, max_length=100, label="Cron expression")
    repeat_until = forms.CharField(
        required=False,
        label="Until",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )
    ttl_count = forms.IntegerField(required=False, min_value=1, max_value=_LONGEST_S, label="Give up after")
    ttl_unit = forms.ChoiceField(choices=_UNIT_CHOICES, initial="hours", required=False, label="Unit")
    in_doubt = forms.ChoiceField(
        choices=InDoubtPolicy.choices, initial=InDoubtPolicy.RESEND, required=False, label="If no answer came"
    )
    requests_per_second = forms.IntegerField(
        required=False, min_value=1, max_value=1_000_000, label="At most, requests a second"
    )

    cron = ""
    until: Moment | None = None

    def check_delivery(self) -> None:
        """Rules between the fields; errors land at the field they are about."""
        repeat = self.cleaned_data.get("repeat") or "once"
        if repeat == "interval" and not self.cleaned_data.get("repeat_count") and "repeat_count" not in self.errors:
            self.add_error("repeat_count", "How often?")
        if repeat in _CLOCK:
            self._check_clock(repeat)
        if repeat == "cron":
            self._check_cron(" ".join(self.cleaned_data.get("repeat_cron", "").split()), "repeat_cron")
        if repeat != "once" and self.cleaned_data.get("repeat_until"):
            self._check_until(self.cleaned_data["repeat_until"])
        for name in ("repeat", "ttl"):
            self._check_length(name)

    def _check_length(self, name: str) -> None:
        if (_length(self.cleaned_data, name) or timedelta()).total_seconds() > _LONGEST_S:
            self.add_error(f"{name}_count", "At most 366 days.")

    def _check_clock(self, repeat: str) -> None:
        at: time | None = self.cleaned_data.get("repeat_time")
        if at is None:
            if "repeat_time" not in self.errors:
                self.add_error("repeat_time", "At what time?")
            return
        days = ",".join(sorted(self.cleaned_data.get("repeat_weekdays", []))) if repeat == "weekly" else "*"
        if not days:
            self.add_error("repeat_weekdays", "Choose at least one day.")
            return
        day = self.cleaned_data.get("repeat_day") or "1" if repeat == "monthly" else "*"
        self._check_cron(f"{at.minute} {at.hour} {day} * {days}", "repeat_time")

    def _check_cron(self, cron: str, field: str) -> None:
        try:
            check_wall_clock(cron, self.zone_name)
        except InvalidWallClock as error:
            self.add_error(field, str(error))
        else:
            self.cron = cron

    def _check_until(self, text: str) -> None:
        try:
            self.until = moment_at(datetime.fromisoformat(text).replace(tzinfo=None), self.zone_name, which=0)
        except (SkippedHour, RepeatedHour) as error:
            self.add_error("repeat_until", str(error))
        except (ValueError, OverflowError):
            self.add_error("repeat_until", "Give a date and a time.")
        else:
            if self.until.utc <= timezone.now():
                self.add_error("repeat_until", "This time has passed.")
            elif self.until.utc > timezone.now() + _LATEST_END:
                self.add_error("repeat_until", "At most ten years ahead.")
                self.until = None

    @property
    def zone_name(self) -> str:
        """The zone every time of the form is meant in."""
        return self.cleaned_data.get("zone") or "UTC"

    def delivery_values(self) -> dict[str, Any]:
        """Fields of a `PublishRequest`; what is faulty is left out."""
        cleaned = self.cleaned_data
        every = _length(cleaned, "repeat") if cleaned.get("repeat") == "interval" else None
        repeats = every is not None or bool(self.cron)
        return {
            "repeat_every": every,
            "cron": self.cron,
            "cron_zone": self.zone_name if self.cron else "",
            "repeat_expires_at": self.until.utc if self.until is not None and repeats else None,
            "ttl": _length(cleaned, "ttl"),
            "in_doubt": InDoubtPolicy(cleaned.get("in_doubt") or InDoubtPolicy.RESEND),
            "requests_per_second": cleaned.get("requests_per_second"),
        }


def firing_plan(request: PublishRequest, zone: str) -> FiringPlan | None:
    """The next firings of a repeated request; None when it fires once. `zone` is what they are shown in."""
    if request.repeat_every is None and not request.cron:
        return None
    first = max(request.publish_at or timezone.now(), timezone.now())
    if request.cron:
        first = first_wall_clock_time(request.cron, request.cron_zone, first - timedelta(seconds=1))
    series = Series(
        first=first,
        every=request.repeat_every,
        cron=request.cron,
        zone=request.cron_zone or "UTC",
        expires=request.repeat_expires_at,
    )
    moments = [Moment.of(at, zone) for at in upcoming(series, FIRINGS_SHOWN)]
    return FiringPlan(moments, request.repeat_expires_at is None, bool(request.cron))


def initial_delivery(request: PublishRequest, now: datetime) -> dict[str, Any]:
    """Form values that say the same as a request; times that have passed stay behind."""
    zone = request.cron_zone or "UTC"
    initial: dict[str, Any] = {"when": "now", "in_doubt": request.in_doubt} | _initial_repeat(request)
    if request.publish_at is not None and request.publish_at > now:
        initial |= {"when": "later", "send_on": _typed(request.publish_at, zone)}
    if request.repeat_expires_at is not None and request.repeat_expires_at > now:
        initial["repeat_until"] = _typed(request.repeat_expires_at, zone)
    if request.cron or "send_on" in initial or "repeat_until" in initial:
        initial["zone"] = zone
    if request.ttl is not None:
        initial |= _initial_length("ttl", request.ttl)
    if request.requests_per_second:
        initial["requests_per_second"] = request.requests_per_second
    return initial


def _initial_repeat(request: PublishRequest) -> dict[str, Any]:
    if request.repeat_every is not None:
        return {"repeat": "interval"} | _initial_length("repeat", request.repeat_every)
    found = re.fullmatch(r"(\d+) (\d+) (\d+|L|\*) \* ([0-6](?:,[0-6])*|\*)", request.cron)
    if found is None:
        return {"repeat": "cron", "repeat_cron": request.cron} if request.cron else {}
    minute, hour, day, weekdays = found.groups()
    if day != "*" and weekdays != "*":
        return {"repeat": "cron", "repeat_cron": request.cron}
    initial: dict[str, Any] = {"repeat": "daily", "repeat_time": f"{int(hour):02}:{int(minute):02}"}
    if weekdays != "*":
        initial |= {"repeat": "weekly", "repeat_weekdays": weekdays.split(",")}
    if day != "*":
        initial |= {"repeat": "monthly", "repeat_day": day}
    return initial


def _initial_length(name: str, length: timedelta) -> dict[str, Any]:
    """The largest unit that leaves a whole number."""
    seconds = round(length.total_seconds())
    unit = next(unit for unit, size in reversed(_UNITS.items()) if seconds % size == 0)
    return {f"{name}_count": seconds // _UNITS[unit], f"{name}_unit": unit}


def _length(cleaned: dict[str, Any], name: str) -> timedelta | None:
    count = cleaned.get(f"{name}_count")
    return timedelta(seconds=count * _UNITS[cleaned.get(f"{name}_unit") or "hours"]) if count else None


def _typed(moment: datetime, zone: str) -> str:
    """As a browser's date and time field wants it."""
    return f"{Moment.of(moment.astimezone(UTC), zone).local:%Y-%m-%dT%H:%M:%S}"
