"""E-mail, which the SDKs offer in the same class and this server does not send: clear errors instead of a 404."""

from __future__ import annotations

from django.http import HttpRequest

from devices.api.user_requests import current_user
from devices.api_keys import Caller
from devices.json_input import KIB, read_json_object, to_struct
from messaging.api.shapes import EmailTemplateBody
from messaging.errors import NotSupported, UnknownEmailTemplate

_MAX_BODY_BYTES = 256 * KIB


def send(caller: Caller, request: HttpRequest) -> None:
    """POST messaging/email. Raises DeadUserToken (3064), NotSupported."""
    current_user(caller, request)
    raise NotSupported("Sending e-mail is not supported; nothing was sent.")


def send_from_template(caller: Caller, request: HttpRequest) -> None:
    """POST emailtemplate/send. Raises DeadUserToken (3064), InvalidProperty, UnknownEmailTemplate (24002).

    No such template can exist.
    """
    current_user(caller, request)
    asked = to_struct(read_json_object(request, max_bytes=_MAX_BODY_BYTES), EmailTemplateBody, {})
    raise UnknownEmailTemplate(f"Email Template with name '{asked.template_name[:255]}' doesn't exist.")
