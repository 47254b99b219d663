"""The compose form: what a marketer typed, as the same `PublishRequest` the REST API builds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils import timezone

from console.form_audience import AudienceForm, initial_audience
from console.form_delivery import DeliveryForm, initial_delivery
from console.form_fields import FIELD_OF_HEADER, HEADER_FIELDS, HeaderRow, HeaderRowsField, PlainText
from console.wall_clock import Moment, RepeatedHour, SkippedHour, moment_at
from devices.errors import ApiError
from devices.models import Application
from messaging.models import PublishPolicy
from messaging.publishing import PublishRequest

#: further ahead than this is a slip of the keyboard more often than a plan (field.md 3, rule 10)
FURTHEST_AHEAD = timedelta(days=366)

#: properties of the wire and header names -> the field whose error they are
_FIELD_OF_PROPERTY = {
    "publishAt": "send_on",
    "segmentQuery": "segment_query",
    "pushSinglecast": "device_ids",
    "repeatExpiresAt": "repeat_until",
    "cron": "repeat_cron",
    **FIELD_OF_HEADER,
}


class ComposeForm(AudienceForm, DeliveryForm):
    """One campaign. Field names are the page's; `to_publish_request` speaks the glossary's."""

    body = PlainText(
        label="Message", widget=forms.Textarea, max_length=8000, error_messages={"required": "Write the message."}
    )
    headers = HeaderRowsField(required=False, label="Extra headers")
    publish_policy = forms.ChoiceField(choices=PublishPolicy.choices, initial=PublishPolicy.BOTH, label="Publish as")
    when = forms.ChoiceField(
        choices=[("now", "Now"), ("later", "At a time")], initial="now", widget=forms.RadioSelect, label="Send"
    )
    send_on = forms.CharField(required=False, label="Date and time")
    which_hour = forms.ChoiceField(
        choices=[("", "Choose"), ("0", "The first"), ("1", "The second")], required=False, label="Which of the two"
    )

    def __init__(self, *args: Any, application: Application, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_names(application)
        for spec in HEADER_FIELDS:
            widget = forms.Textarea(attrs={"rows": 2}) if spec.is_long else forms.TextInput()
            widget.attrs["placeholder"] = spec.placeholder
            self.fields[spec.name] = PlainText(required=False, max_length=spec.length, label=spec.label, widget=widget)
        self._dress()
        self.moment: Moment | None = None
        self.is_repeated_hour = False

    def _dress(self) -> None:
        """Tabler's classes, and the error line every field is described by (it is there, empty, before any error)."""
        self.fields["send_on"].widget = forms.DateTimeInput(attrs={"type": "datetime-local"})
        self.fields["body"].widget.attrs["rows"] = 3
        if not self.is_bound and "zone" not in self.initial:
            self.fields["zone"].widget.attrs["data-own-zone"] = True
        for name, field in self.fields.items():
            if isinstance(field.widget, forms.NumberInput):
                field.widget.attrs["inputmode"] = "numeric"
            is_select = isinstance(field.widget, forms.Select) and not isinstance(field.widget, forms.RadioSelect)
            field.widget.attrs["class"] = "form-select" if is_select else "form-control"
            field.widget.attrs["aria-describedby"] = f"error-{name}"

    def clean_ios_badge(self) -> str:
        """A whole number; empty leaves the badge as it is."""
        badge: str = self.cleaned_data["ios_badge"].strip()
        if badge and not (badge.isascii() and badge.isdigit()):
            raise forms.ValidationError("A whole number, 0 or more.")
        return badge

    def clean(self) -> dict[str, Any]:
        """Rules between fields: a channel, an audience that is not empty, a time that exists."""
        self.check_audience()
        if self.cleaned_data.get("when") == "later":
            self._check_time()
        self.check_delivery()
        return self.cleaned_data

    def _check_time(self) -> None:
        try:
            wall = datetime.fromisoformat(self.cleaned_data.get("send_on", ""))
        except ValueError:
            self.add_error("send_on", "Give a date and a time.")
            return
        if wall.tzinfo is not None:
            self.add_error("send_on", "Leave the offset out: the time zone beside it counts.")
            return
        which = self.cleaned_data.get("which_hour") or None
        try:
            moment = moment_at(wall, self.zone_name, which=None if which is None else int(which))
            self._check_distance(moment)
        except (SkippedHour, RepeatedHour, OverflowError) as error:
            self.is_repeated_hour = isinstance(error, RepeatedHour)
            self.add_error("send_on", str(error))
        else:
            self.moment = moment

    def _check_distance(self, moment: Moment) -> None:
        now = timezone.now()
        if moment.utc < now:
            self.add_error("send_on", "This time has passed.")
        elif moment.utc > now + FURTHEST_AHEAD:
            self.add_error("send_on", "More than a year ahead. Check the year.")

    @property
    def header_rows(self) -> list[HeaderRow]:
        """Rows to draw: those typed so far, and an empty one (without JavaScript the only way to a further row)."""
        rows: list[HeaderRow] = self["headers"].value() or []
        return [*rows, HeaderRow()]

    @property
    def live_errors(self) -> dict[str, list[str]]:
        """Errors by field, "" where there is none: while typing, an empty field is not yet a mistake."""
        return {
            name: [str(error) for error in self.errors.get(name, [])] if self[name].value() or name == "send_on" else []
            for name in self.fields
        }

    def to_publish_request(self) -> PublishRequest:
        """The campaign; call it on a valid form."""
        return self.draft_request()

    def draft_request(self) -> PublishRequest:
        """What is there so far, faulty fields left out: for the preview while typing."""
        cleaned = self.cleaned_data
        return PublishRequest(
            channel_name=self.channel_name,
            body=cleaned.get("body", ""),
            headers=self._headers(),
            publish_policy=PublishPolicy(cleaned.get("publish_policy") or PublishPolicy.BOTH),
            publish_at=self.moment.utc if self.moment is not None else None,
            **self.audience_values(),
            **self.delivery_values(),
        )

    def _headers(self) -> dict[str, str]:
        cleaned = self.cleaned_data
        hidden = self.hidden_oses()
        named = {
            spec.header: cleaned[spec.name]
            for spec in HEADER_FIELDS
            if cleaned.get(spec.name) and spec.os not in hidden
        }
        return named | dict(cleaned.get("headers") or {})

    def add_api_error(self, error: ApiError) -> None:
        """Show what `publish` refused beside the field it is about, or above the form."""
        self.add_error(_FIELD_OF_PROPERTY.get(error.field), error.message)


def typed_form(initial: Mapping[str, Any], application: Application) -> ComposeForm:
    """The form as if somebody had typed the initial values: a preview needs no first key press."""
    typed = QueryDict(mutable=True)
    for name, value in initial.items():
        if name == "headers":
            typed.setlist("header_name", [row.name for row in value])
            typed.setlist("header_value", [row.value for row in value])
        else:
            typed.setlist(name, value if isinstance(value, list) else [value])
    return ComposeForm(typed, application=application)


def form_can_say(request: PublishRequest) -> bool:
    """Whether the form has a field for all of it; the rest would silently be left out of an edit or a clone."""
    return (
        isinstance(request.body, str)
        and request.template is None
        and (request.push_singlecast is None or request.push_broadcast is None)
    )


def initial_from(request: PublishRequest) -> dict[str, Any]:
    """Form values that say the same as a request, for "clone" and "edit". A time that has passed stays behind."""
    initial: dict[str, Any] = {
        "body": request.body if isinstance(request.body, str) else "",
        "publish_policy": request.publish_policy,
        "headers": [HeaderRow(name, value) for name, value in request.headers.items() if name not in FIELD_OF_HEADER],
    }
    initial |= {FIELD_OF_HEADER[name]: value for name, value in request.headers.items() if name in FIELD_OF_HEADER}
    return initial | initial_audience(request) | initial_delivery(request, timezone.now())
