"""Device registration over HTTP: parse, call one step, answer."""

from __future__ import annotations

from django.http import HttpRequest

from devices import registration
from devices.api import responses
from devices.api.requests import MAX_BODY_BYTES, parse_facts, parse_registration
from devices.api.shapes import RegisteredAnswer, RegistrationAnswer, UnregisteredAnswer
from devices.api.user_requests import current_user
from devices.api_keys import Caller
from devices.errors import PermissionMissing
from devices.json_input import read_json_object


def register(caller: Caller, request: HttpRequest) -> RegisteredAnswer:
    """POST registrations (seed 3)."""
    _check_may_register(caller)
    user = current_user(caller, request)
    body = read_json_object(request, max_bytes=MAX_BODY_BYTES)
    wanted, facts = parse_registration(body), parse_facts(body, user)
    return responses.registered(registration.register(caller.application, wanted, facts))


def get(caller: Caller, request: HttpRequest, device_id: str) -> list[RegistrationAnswer]:
    """GET registrations/<deviceId>. Raises UnknownDevice (5000)."""
    _check_may_register(caller)
    current_user(caller, request)
    return responses.registrations(*registration.get(caller.application, device_id))


def unregister(caller: Caller, request: HttpRequest, device_id: str) -> UnregisteredAnswer:
    """DELETE registrations/<deviceId>. Raises UnknownDeviceToCancel (5001)."""
    _check_may_register(caller)
    current_user(caller, request)
    registration.unregister(caller.application, device_id)
    return responses.unregistered()


def _check_may_register(caller: Caller) -> None:
    if not caller.api_key.may_register:
        raise PermissionMissing("This API key may not register devices.")
