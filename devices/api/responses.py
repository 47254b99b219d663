"""Registration answers as they go out: the only file of this app that spells them."""

from __future__ import annotations

from devices import timestamps
from devices.models import DeviceRegistration
from devices.registration import Registered


def registered(registration: Registered) -> dict[str, object]:
    """`{"registrationId": "<registration>::<channel>,..."}`, one id for each channel (contract.md 3)."""
    registration_id = str(registration.registration_id).upper()
    return {"registrationId": ",".join(f"{registration_id}::{name}" for name in registration.channel_names)}


def registrations(registration: DeviceRegistration, channel_names: list[str]) -> list[dict[str, object]]:
    """A list of one: the Swift SDK decodes a list, the JS documentation shows one (contract.md 3)."""
    return [
        {
            "id": str(registration.registration_id).upper(),
            "deviceToken": registration.token,
            "deviceId": registration.device_id,
            "os": registration.os,
            "osVersion": registration.os_version,
            "channels": channel_names,
            "expiration": None if registration.expiration is None else timestamps.to_wire(registration.expiration),
        }
    ]


def unregistered() -> dict[str, object]:
    """A JSON boolean: the Swift SDK casts it."""
    return {"result": True}
