"""Rows for tests: each function makes one thing, with what a test does not care about filled in."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from devices import registration
from devices.api_keys import Permissions, create_api_key
from devices.models import ApiKey, Application, ClientType, DeviceRegistration
from devices.push_services import NATIVE_PUSH_SERVICE, Os
from devices.registration import RegistrationRequest

_numbers = itertools.count(1)


def make_application(name: str = "Test application") -> Application:
    """An application without keys, channels or devices."""
    return Application.objects.create(name=name)


def make_api_key(application: Application, **permissions: bool) -> tuple[ApiKey, str]:
    """A key that may do everything, but for the permissions named: `make_api_key(app, may_publish=False)`."""
    allowed = Permissions(**{"may_publish": True, **permissions})
    return create_api_key(application, "test", ClientType.REST, allowed)


def make_registration(
    application: Application, os: str = "ANDROID", channels: tuple[str, ...] = ("default",), **values: str
) -> DeviceRegistration:
    """A registered device with a token of its own; `device_id` and `token` may be given."""
    number = next(_numbers)
    request = RegistrationRequest(
        device_id=values.get("device_id", f"device-{number}"),
        token=values.get("token", f"{number:064x}"),
        os=Os(os),
        push_service=NATIVE_PUSH_SERVICE[Os(os)],
        channel_names=channels,
    )
    registered = registration.register(application, request)
    return DeviceRegistration.objects.get(registration_id=registered.registration_id)


@dataclass(frozen=True, slots=True)
class ApiAccount:
    """An application and the keys tests call it with."""

    application: Application
    key: str  #: may do everything
    client_key: str  #: may not publish

    @property
    def prefix(self) -> str:
        """What every path of the REST API begins with."""
        return f"/{str(self.application.application_id).upper()}/{self.key}"

    @property
    def client_prefix(self) -> str:
        """The same with the key that is shipped in apps."""
        return f"/{str(self.application.application_id).upper()}/{self.client_key}"


def make_account() -> ApiAccount:
    """An application with a key of either kind."""
    application = make_application()
    _, key = make_api_key(application)
    _, client_key = make_api_key(application, may_publish=False)
    return ApiAccount(application, key, client_key)
