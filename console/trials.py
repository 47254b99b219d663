"""A test send: what the compose form says, to a few named devices and at once, whatever else the form says.

It goes the whole way, through the same workers to the push services, so its answer is theirs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from django import forms
from django.contrib.sessions.backends.base import SessionBase

from console.form_fields import HEADER_FIELDS, PlainText
from console.forms import ComposeForm
from console.htmx import ConsoleRequest
from console.pages_message import shown_occurrence
from console.pages_messages import TRIAL_PUBLISHER
from console.reasons import Explanation, explain
from console.sending import send_once
from devices.channels import DEFAULT_CHANNEL
from devices.errors import ApiError
from devices.models import Application, DeviceRegistration, RegistrationState
from devices.push_services import PushService
from messaging.ledger import deliveries_of
from messaging.models import Delivery, DeliveryOutcome, Message, Occurrence, PublishPolicy
from messaging.publishing import PublishRequest

#: more are a campaign
MOST_DEVICES = 10
#: whoever tests looks at the device now; a test that was held up must not surprise them tomorrow
_TTL = timedelta(minutes=10)
_KEY = "trial_devices"
#: what a test sends; a mistake elsewhere in the form does not matter to it
_SENT = frozenset({"body", "headers", *(spec.name for spec in HEADER_FIELDS)})


class TrialForm(forms.Form):
    """Whom a test goes to."""

    trial_devices = PlainText(
        label="Device ids",
        max_length=MOST_DEVICES * 256,
        error_messages={"required": "Name a device, such as your own phone."},
        widget=forms.TextInput(attrs={"class": "form-control", "aria-describedby": "error-trial_devices"}),
    )

    def clean_trial_devices(self) -> tuple[str, ...]:
        """Ids between commas or spaces; the same one twice counts once."""
        ids = tuple(dict.fromkeys(re.findall(r"[^\s,]+", self.cleaned_data["trial_devices"])))
        if not ids:
            raise forms.ValidationError("Name a device, such as your own phone.")
        if len(ids) > MOST_DEVICES:
            raise forms.ValidationError(f"{len(ids)} devices; a test goes to {MOST_DEVICES} at most.")
        return ids


def send_trial(request: ConsoleRequest, form: ComposeForm) -> dict[str, object]:
    """Publish the test once for each form it was asked for in; context of the part of the page that answers."""
    trial = TrialForm(request.POST)
    message = None
    if _SENT & set(form.errors):
        trial.add_error(None, "Mend the message first.")
    elif trial.is_valid():
        device_ids: tuple[str, ...] = trial.cleaned_data["trial_devices"]
        _remember(request.session, request.application, device_ids)
        wanted = _trial_request(form, device_ids, request.application)
        try:
            message = send_once(request, f"test {request.POST.get('trial_token', '')[:64]}", wanted)
        except ApiError as error:
            trial.add_error(None, error.message)
    result = result_of(message) if message is not None else None
    return {"trial": trial, "trial_result": result, "trial_token": uuid4().hex}


def _trial_request(form: ComposeForm, device_ids: tuple[str, ...], application: Application) -> PublishRequest:
    """The message as it would look, push only. A channel that does not exist yet is not created for it."""
    said = form.draft_request()
    is_known = application.channels.filter(name=said.channel_name).exists()
    return PublishRequest(
        channel_name=said.channel_name if is_known else DEFAULT_CHANNEL,
        body=said.body,
        headers=said.headers,
        publisher_id=TRIAL_PUBLISHER,
        publish_policy=PublishPolicy.PUSH,
        push_singlecast=device_ids,
        ttl=_TTL,
    )


def remembered(session: SessionBase, application: Application) -> str:
    """The devices a person tested with last, as they would type them."""
    known: dict[str, str] = session.get(_KEY, {})
    return known.get(str(application.pk), "")


def _remember(session: SessionBase, application: Application, device_ids: tuple[str, ...]) -> None:
    """Offer these devices for the next test."""
    session[_KEY] = {**session.get(_KEY, {}), str(application.pk): ", ".join(device_ids)}


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One device of a test."""

    device_id: str
    registration: DeviceRegistration | None  #: None: nobody registered it
    delivery: Delivery | None  #: None: no outcome yet
    explanation: Explanation | None  #: why it was not accepted

    @property
    def is_reachable(self) -> bool:
        """There is somebody to send to, or there was when it was sent."""
        is_active = self.registration is not None and self.registration.state == RegistrationState.ACTIVE
        return is_active or self.delivery is not None


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What became of a test."""

    message: Message
    rows: list[TrialRow]
    is_over: bool


def result_of(message: Message) -> TrialResult | None:
    """The answer for each device that was named, in their order. Three queries."""
    occurrence = shown_occurrence(message, None)
    return _result(message, occurrence) if occurrence is not None else None


def _result(message: Message, occurrence: Occurrence) -> TrialResult:
    named = message.push_singlecast or []
    registered = {found.device_id: found for found in message.application.registrations.filter(device_id__in=named)}
    keys = [found.pk for found in registered.values()]
    outcomes = {found.registration_id: found for found in deliveries_of(occurrence).filter(registration_id__in=keys)}
    rows = []
    for device_id in named:
        registration = registered.get(device_id)
        delivery = outcomes.get(registration.pk) if registration is not None else None
        rows.append(TrialRow(device_id, registration, delivery, _explanation(delivery)))
    return TrialResult(message, rows, occurrence.closed_at is not None)


def _explanation(delivery: Delivery | None) -> Explanation | None:
    if delivery is None or delivery.outcome == DeliveryOutcome.ACCEPTED:
        return None
    outcome = DeliveryOutcome(delivery.outcome)
    return explain(PushService(delivery.push_service), outcome, delivery.reason, delivery.http_status)
