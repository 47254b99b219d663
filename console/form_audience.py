"""Whom a campaign is for: the audience fields of the compose form."""

from __future__ import annotations

import re
from typing import Any

from django import forms

from console.form_fields import PlainText
from devices import segment_query
from devices.channels import DEFAULT_CHANNEL, channel_name
from devices.errors import ApiError
from devices.models import Application
from devices.push_services import Os, OsMask
from messaging.publishing import PublishRequest

#: design.md 6
MOST_DEVICE_IDS = 100_000
#: channels and segments offered by name; more channels than this are typed
NAMES_OFFERED = 200
_NEW_CHANNEL = ""
_OWN_CONDITION = "own"


class AudienceForm(forms.Form):
    """The part of the compose form that says who; `audience_values` are fields of a `PublishRequest`."""

    channel = forms.ChoiceField(required=False, label="Channel")
    new_channel = PlainText(required=False, max_length=128, label="New channel")
    audience = forms.ChoiceField(
        choices=[
            ("oses", "By operating system"),
            ("devices", "Named devices"),
            ("everyone", "Everyone in this channel"),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": "Choose who gets it."},
    )
    oses = forms.MultipleChoiceField(
        choices=Os.choices, required=False, widget=forms.CheckboxSelectMultiple, label="Operating systems"
    )
    device_ids = PlainText(required=False, widget=forms.Textarea(attrs={"rows": 3}), label="Device ids")
    segment = forms.ChoiceField(required=False, label="Only those in a segment")
    segment_query = PlainText(
        required=False,
        max_length=4096,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "plan = 'gold' AND city = 'Berlin'"}),
        label="Condition",
    )

    def offer_names(self, application: Application) -> None:
        """Fill the choices with the channels and segments of the application."""
        channels = list(application.channels.order_by("name").values_list("name", flat=True)[:NAMES_OFFERED])
        segments = list(application.segments.values_list("pk", "name", "query")[:NAMES_OFFERED])
        self._queries = {str(pk): query for pk, _, query in segments}
        self._set_choices("channel", [*((name, name) for name in channels), (_NEW_CHANNEL, "Another channel…")])
        named = [(str(pk), name) for pk, name, _ in segments]
        self._set_choices(
            "segment", [("", "No, all of them"), *named, (_OWN_CONDITION, "Those that meet a condition…")]
        )
        self._choose_channel(channels)
        self._choose_segment()

    def _set_choices(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def _choose_channel(self, names: list[str]) -> None:
        """Begin with the channel asked for, else "default"; as a new one when it does not exist (any more)."""
        wanted = self.initial.get("channel") or DEFAULT_CHANNEL
        if wanted in names:
            self.initial["channel"] = wanted
        else:
            self.initial.update(channel=_NEW_CHANNEL, new_channel=wanted)

    def _choose_segment(self) -> None:
        """Begin with the saved segment that says the same as the condition asked for, else with the condition."""
        wanted = self.initial.get("segment_query")
        if wanted:
            saved = (key for key, query in self._queries.items() if query == wanted)
            self.initial["segment"] = next(saved, _OWN_CONDITION)

    def clean_device_ids(self) -> tuple[str, ...]:
        """One per line or between commas; the same one twice counts once."""
        ids = tuple(dict.fromkeys(re.findall(r"[^\s,]+", self.cleaned_data["device_ids"])))
        if len(ids) > MOST_DEVICE_IDS:
            raise forms.ValidationError(f"{len(ids):,} device ids; at most {MOST_DEVICE_IDS:,} at once.")
        return ids

    def check_audience(self) -> None:
        """Rules between the fields: a channel with a name, an audience that is not empty, a readable condition."""
        self._check_channel()
        audience = self.cleaned_data.get("audience")
        if audience == "oses" and not self.cleaned_data.get("oses"):
            self.add_error("oses", "Choose at least one operating system.")
        if audience == "devices" and not self.cleaned_data.get("device_ids") and "device_ids" not in self.errors:
            self.add_error("device_ids", "Name at least one device: an empty list never means everyone.")
        self._check_segment()

    def _check_channel(self) -> None:
        name = self.cleaned_data.get("new_channel", "").strip()
        if self.cleaned_data.get("channel"):
            return
        try:
            channel_name(name)
        except ApiError as error:
            self.add_error("new_channel", error.message if name else "Name the channel.")

    def _check_segment(self) -> None:
        if not self.cleaned_data.get("segment") or self.errors.get("segment_query"):
            return
        query = self._segment_query()
        if not query:
            self.add_error("segment_query", "Write the condition.")
            return
        try:
            segment_query.check(query)
        except ApiError as error:
            self.add_error("segment_query", error.message.removeprefix("segmentQuery, ").capitalize())

    def _segment_query(self) -> str:
        chosen = self.cleaned_data.get("segment", "")
        if chosen == _OWN_CONDITION:
            return str(self.cleaned_data.get("segment_query", "")).strip()
        return self._queries.get(chosen, "")

    @property
    def channel_name(self) -> str:
        """The channel meant, or "" while it has no name."""
        name: str = self.cleaned_data.get("channel") or self.cleaned_data.get("new_channel", "")
        return name.strip()

    @property
    def is_audience_known(self) -> bool:
        """Who is meant has been said, without a mistake: a faulty condition must not be counted as none."""
        return bool(self.cleaned_data.get("audience")) and not {"segment", "segment_query"} & set(self.errors)

    def audience_values(self) -> dict[str, Any]:
        """Fields of a `PublishRequest`; what is faulty is left out."""
        audience = self.cleaned_data.get("audience")
        return {
            "push_broadcast": self._broadcast(),
            "push_singlecast": self.cleaned_data.get("device_ids") if audience == "devices" else None,
            "segment_query": "" if "segment_query" in self.errors else self._segment_query(),
        }

    def _broadcast(self) -> OsMask | None:
        audience = self.cleaned_data.get("audience")
        if audience == "everyone":
            return OsMask.ALL
        if audience == "devices":
            return None
        return OsMask.of(tuple(Os(name) for name in self.cleaned_data.get("oses", [])))

    def hidden_oses(self) -> set[Os]:
        """Systems whose fields the page does not show: what was typed there before stays out of the message."""
        if self.cleaned_data.get("audience") != "oses" or not self.cleaned_data.get("oses"):
            return set()
        chosen = {Os(name) for name in self.cleaned_data["oses"]}
        return {os for os in Os if os not in chosen} - ({Os.IOS} if Os.OSX in chosen else set())


def initial_audience(request: PublishRequest) -> dict[str, Any]:
    """Form values that say the same as a request."""
    initial: dict[str, Any] = {"channel": request.channel_name, "segment_query": request.segment_query}
    if request.push_singlecast is not None:
        return initial | {"audience": "devices", "device_ids": "\n".join(request.push_singlecast)}
    oses = request.target_oses() or ()
    if set(oses) == set(Os):
        return initial | {"audience": "everyone"}
    return initial | {"audience": "oses", "oses": list(oses)}
