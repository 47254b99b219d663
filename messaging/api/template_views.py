"""Push templates over HTTP: parse, call one step, answer."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from devices.api.user_requests import current_user
from devices.api_keys import Caller
from devices.errors import PermissionMissing
from devices.json_input import KIB, read_json_object
from devices.push_services import Os
from messaging import publishing
from messaging.api import responses
from messaging.api.idempotent import Asked, published
from messaging.api.publishers import publisher_of
from messaging.api.template_requests import parse_os, parse_template_values
from messaging.errors import UnknownPushTemplate
from messaging.models import Message
from messaging.push_templates import device_forms, request_from_template, template_named
from messaging.template_models import PushTemplate

_MAX_BODY_BYTES = 256 * KIB


def push(caller: Caller, request: HttpRequest, name: str) -> object:
    """POST push/<template>."""
    found: PushTemplate | UnknownPushTemplate
    try:
        found = template_named(caller.application, name)
    except UnknownPushTemplate as error:
        found = error
    # who may not publish learns nothing of names
    publisher = publisher_of(caller, request, found.channel_name if isinstance(found, PushTemplate) else "")
    body = read_json_object(request, max_bytes=_MAX_BODY_BYTES)
    values = parse_template_values(body)

    def publish() -> Message:
        """Not asked of a repetition: it is told of its push even when the template has changed, or is gone."""
        if isinstance(found, UnknownPushTemplate):
            raise found
        wanted = request_from_template(found, values)
        return publishing.publish(application=caller.application, request=wanted, publisher=publisher)

    return published(caller, request, Asked(f"template/{name}", body), publish, responses.push_result)


def templates(caller: Caller, request: HttpRequest, os_name: str = Os.IOS.value) -> dict[str, dict[str, Any]]:
    """GET pushtemplates[/<OS>]; without an operating system it is the Swift SDK that asks."""
    if not caller.api_key.may_register:
        raise PermissionMissing("This API key may not read push templates.")
    current_user(caller, request)
    return device_forms(caller.application, parse_os(os_name))
