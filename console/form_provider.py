"""Forms for what a push service is reached with. Secrets go in and never come out again, not even beside an error."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from django import forms

from console.form_fields import PlainText
from devices.api_keys import Permissions
from devices.models import ClientType
from devices.push_services import PushService
from messaging.providers.credentials import ApnsCredential, InvalidCredential

F = TypeVar("F", bound=forms.BaseForm)
#: longer is no key of any push service
_SECRET_LENGTH = 16_384


class SecretText(forms.Textarea):
    """A field for a key of several lines, empty whenever it is shown."""

    def format_value(self, value: Any) -> str:
        """Nothing."""
        return ""


def _secret(label: str, help_text: str = "", *, required: bool = True) -> forms.CharField:
    widget = SecretText(attrs={"rows": 5, "autocomplete": "off", "spellcheck": "false", "class": "mono"})
    return forms.CharField(
        label=label, help_text=help_text, required=required, max_length=_SECRET_LENGTH, widget=widget
    )


def _text(label: str, help_text: str = "") -> forms.CharField:
    return PlainText(label=label, help_text=help_text, max_length=1_000)


class CredentialForm(forms.Form):
    """One push service's credential; field names are those of `manage.py set_credential`."""

    def values(self) -> dict[str, Any]:
        """What `store_credential` takes."""
        return {name: value for name, value in self.cleaned_data.items() if value}

    def add_credential_error(self, error: InvalidCredential) -> None:
        """Show what is wrong at its field."""
        is_field = error.field in self.fields
        self.add_error(error.field if is_field else None, f"This {error.reason}." if is_field else str(error))


class FcmForm(CredentialForm):
    """The service-account file, whole."""

    account = _secret("Service-account JSON", "The file Google gives: Firebase console, Service accounts.")

    def clean_account(self) -> dict[str, Any]:
        """The file as an object."""
        try:
            account = json.loads(self.cleaned_data["account"])
        except ValueError as error:
            raise forms.ValidationError("This is no JSON: paste the whole file.") from error
        if not isinstance(account, dict):
            raise forms.ValidationError("This is no service account: paste the whole file.")
        return account

    def values(self) -> dict[str, Any]:
        """The object itself."""
        account: dict[str, Any] = self.cleaned_data["account"]
        return account

    def add_credential_error(self, error: InvalidCredential) -> None:
        """Every fault is one of the file."""
        self.add_error("account", str(error))


class ApnsForm(CredentialForm):
    """A .p8 key and the app it is for."""

    team_id = _text("Team id", "Ten characters.")
    key_id = _text("Key id", "Ten characters, part of the file's name.")
    topic = _text("Topic", "The app's bundle id.")
    environment = forms.ChoiceField(label="Environment", choices=[(name, name) for name in ApnsCredential.ENVIRONMENTS])
    key = _secret("Key", "The .p8 file, from BEGIN to END.")


class WnsForm(CredentialForm):
    """The package from the Partner Center."""

    package_sid = _text("Package SID", "ms-app://…")
    client_secret = _secret("Client secret")


class WebPushForm(CredentialForm):
    """A VAPID key pair."""

    subject = _text("Contact", "mailto: or https:// address that push services may write to.")
    private_key = _secret(
        "Private key", "base64url. Empty: a new pair is made, and browsers must subscribe again.", required=False
    )


_FORMS: dict[PushService, type[CredentialForm]] = {
    PushService.FCM: FcmForm,
    PushService.APNS: ApnsForm,
    PushService.WNS: WnsForm,
    PushService.WEBPUSH: WebPushForm,
}


def credential_form(service: PushService, data: Any = None, facts: dict[str, Any] | None = None) -> CredentialForm:
    """The form of a push service, with what may be shown of the present credential filled in."""
    return dressed(_FORMS[service](data, initial=facts))


class ApiKeyForm(forms.Form):
    """A new API key."""

    label = PlainText(label="Label", max_length=100, help_text="Who uses it, in your words.")
    client_type = forms.ChoiceField(label="Made for", choices=ClientType.choices, initial=ClientType.REST)
    may_register = forms.BooleanField(label="Register devices", required=False, initial=True)
    may_publish = forms.BooleanField(label="Publish messages", required=False)
    may_read = forms.BooleanField(label="Read status", required=False, initial=True)
    may_subscribe = forms.BooleanField(label="Subscribe", required=False, initial=True)

    def permissions(self) -> Permissions:
        """What the key may do."""
        return Permissions(**{name: self.cleaned_data[name] for name in self.fields if name.startswith("may_")})


def dressed(form: F) -> F:
    """Tabler's classes, and the error line each field is described by."""
    for name, field in form.fields.items():
        if isinstance(field.widget, forms.CheckboxInput):
            continue
        kind = "form-select" if isinstance(field.widget, forms.Select) else "form-control"
        field.widget.attrs["class"] = f"{field.widget.attrs.get('class', '')} {kind}".strip()
        field.widget.attrs["aria-describedby"] = f"error-{name}"
    return form
