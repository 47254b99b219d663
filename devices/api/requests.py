"""Registration bodies as they come in: their rules beyond the shape."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings

from devices import timestamps
from devices.api.shapes import (
    MAX_CHANNELS,
    MAX_DEVICE_ID,
    MAX_DEVICE_TOKEN,
    MAX_LOCALE,
    MAX_OS_VERSION,
    MAX_TIME_ZONE,
    FactsBody,
    RegistrationBody,
)
from devices.channels import DEFAULT_CHANNEL, MAX_CHANNEL_NAME, channel_name
from devices.errors import ApiError, InvalidExpiration, InvalidProperty, InvalidToken, PropertyTooLong
from devices.json_input import KIB, to_struct
from devices.push_services import Os
from devices.push_urls import DEFAULT_ALLOWED_SUFFIXES, PushUrlPolicy
from devices.registration import DeviceFacts, RegistrationRequest
from devices.tokens import InvalidDeviceToken, ParsedToken, parse_device_token
from devices.user_models import AppUser

MAX_BODY_BYTES = 64 * KIB

_POLICY = PushUrlPolicy(
    allowed_suffixes=(*DEFAULT_ALLOWED_SUFFIXES, *settings.PUSH_HOSTS), allow_loopback=settings.ALLOW_LOOPBACK_PUSH
)
_ERRORS: dict[str, type[ApiError]] = {"expiration": InvalidExpiration}


def parse_facts(body: dict[str, object], user: AppUser | None) -> DeviceFacts:
    """What the body and the login say of the device. Raises PropertyTooLong (8000), InvalidProperty."""
    wire = to_struct(body, FactsBody, {})
    if wire.locale:
        _check_length("locale", wire.locale, MAX_LOCALE)
    if wire.time_zone:
        _check_length("timeZone", wire.time_zone, MAX_TIME_ZONE)
    return DeviceFacts(
        user_id=None if user is None else user.object_id,
        attributes=wire.attributes,
        locale=wire.locale,
        time_zone=wire.time_zone,
    )


def parse_registration(body: dict[str, object]) -> RegistrationRequest:
    """Raises PropertyTooLong (8000), InvalidExpiration (5004), InvalidToken, InvalidChannelName, InvalidProperty."""
    wire = to_struct(body, RegistrationBody, _ERRORS)
    _check_length("deviceId", wire.device_id, MAX_DEVICE_ID)
    _check_length("deviceToken", wire.device_token, MAX_DEVICE_TOKEN)
    os = _os(wire.os)
    parsed = _token(wire.device_token, os)
    return RegistrationRequest(
        device_id=wire.device_id,
        token=parsed.token,
        os=os,
        push_service=parsed.push_service,
        os_version=_os_version(wire.os_version),
        channel_names=_channel_names(wire.channels),
        expiration=_expiration(wire.expiration),
    )


def _check_length(field: str, value: str, limit: int) -> None:
    if not value:
        raise InvalidProperty(f"{field} is empty.", field=field)
    if len(value) > limit:
        raise PropertyTooLong(
            f"Property value exceeds the length limit: {field} takes {limit} characters.", field=field
        )


def _os(value: str) -> Os:
    try:
        return Os(value.upper())
    except ValueError as error:
        raise InvalidProperty(f"os must be one of {', '.join(Os.values)}.", field="os") from error


def _token(value: str, os: Os) -> ParsedToken:
    try:
        return parse_device_token(value, os, _POLICY)
    except InvalidDeviceToken as error:
        raise InvalidToken(str(error), field="deviceToken") from error


def _os_version(value: str | float | None) -> str:
    version = "" if value is None else str(value)
    if version:
        _check_length("osVersion", version, MAX_OS_VERSION)
    return version


def _channel_names(names: list[str] | None) -> tuple[str, ...]:
    """As stored, each once; the default channel where none is named."""
    wanted = names or [DEFAULT_CHANNEL]
    if len(wanted) > MAX_CHANNELS:
        raise PropertyTooLong(f"Property value exceeds the length limit: channels takes {MAX_CHANNELS} names.")
    for name in wanted:
        if len(name) > MAX_CHANNEL_NAME:
            raise PropertyTooLong(
                f"Property value exceeds the length limit: a name in channels takes {MAX_CHANNEL_NAME} characters.",
                field="channels",
            )
    return tuple(dict.fromkeys(map(channel_name, wanted)))


def _expiration(value: float | str | None) -> datetime | None:
    if value is None:
        return None
    try:
        expiration = timestamps.from_wire(value)
    except ValueError as error:
        raise InvalidExpiration(f"Invalid expiration date: {error}.", field="expiration") from error
    if expiration <= datetime.now(UTC):
        raise InvalidExpiration(field="expiration")
    return expiration
