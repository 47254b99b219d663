"""Registration answers as they go out."""

from __future__ import annotations

from devices import timestamps
from devices.api.shapes import RegisteredAnswer, RegistrationAnswer, UnregisteredAnswer
from devices.models import DeviceRegistration
from devices.registration import Registered


def registered(registration: Registered) -> RegisteredAnswer:
    """`{"registrationId": "<registration>::<channel>,..."}`, one id for each channel (contract.md 3)."""
    registration_id = str(registration.registration_id).upper()
    return RegisteredAnswer(",".join(f"{registration_id}::{name}" for name in registration.channel_names))


def registrations(registration: DeviceRegistration, channel_names: list[str]) -> list[RegistrationAnswer]:
    """A list of one: the Swift SDK decodes a list, the JS documentation shows one (contract.md 3)."""
    return [
        RegistrationAnswer(
            id=str(registration.registration_id).upper(),
            device_token=registration.token,
            device_id=registration.device_id,
            os=registration.os,
            os_version=registration.os_version,
            channels=channel_names,
            expiration=None if registration.expiration is None else timestamps.to_wire(registration.expiration),
        )
    ]


def unregistered() -> UnregisteredAnswer:
    """What there is to say."""
    return UnregisteredAnswer(result=True)
