"""Push templates over HTTP: parse, call one step, answer."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from devices.api_keys import Caller
from devices.errors import PermissionMissing
from devices.json_input import KIB, read_json_object
from devices.push_services import Os
from messaging import publishing
from messaging.api import responses
from messaging.api.idempotent import Asked, published
from messaging.api.publishers import publisher_of
from messaging.api.template_requests import parse_os, parse_template_values
from messaging.push_templates import device_forms, request_from_template

_MAX_BODY_BYTES = 256 * KIB


def push(caller: Caller, request: HttpRequest, name: str) -> object:
    """POST push/<template>."""
    body = read_json_object(request, max_bytes=_MAX_BODY_BYTES)
    push_request = request_from_template(caller.application, name, parse_template_values(body))
    publisher = publisher_of(caller, request, push_request.channel_name)
    return published(
        caller,
        request,
        Asked(f"template/{name}", body),
        lambda: publishing.publish(application=caller.application, request=push_request, publisher=publisher),
        responses.push_result,
    )


def templates(caller: Caller, request: HttpRequest, os_name: str = Os.IOS.value) -> dict[str, dict[str, Any]]:
    """GET pushtemplates[/<OS>]; without an operating system it is the Swift SDK that asks."""
    if not caller.api_key.may_register:
        raise PermissionMissing("This API key may not read push templates.")
    return device_forms(caller.application, parse_os(os_name))
