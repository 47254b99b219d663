"""Requests for a message whose text differs between devices: values are read per batch, texts filled in per device.

A device without a value is skipped with that reason, never sent a text with a hole (reliability.md 2.5).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from devices.device_values import values_of
from devices.models import Application
from messaging.errors import InvalidPushHeader
from messaging.providers.base import Envelope, HttpRequest, PayloadTooLarge, Prepared, Provider, Target
from messaging.publishing import RENDERED_OS, PublishRequest, notification_of
from messaging.smart_text import MissingValue, RenderedTooLong
from messaging.templates import SmartMessage, smart_message


class CannotPersonalise(Exception):
    """This device's text cannot be written or sent."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason  #: for the delivery's record


@dataclass(frozen=True, slots=True, kw_only=True)
class Personalised:
    """In the place of `Prepared`, which renders once."""

    provider: Provider
    application: Application
    request_: PublishRequest
    message: SmartMessage
    envelope: Envelope
    values: Mapping[int, Mapping[str, str]] = field(default_factory=dict)  #: by registration id

    @property
    def payload(self) -> bytes:
        """There is no common one."""
        return b""

    def for_devices(self, registration_ids: Collection[int]) -> Personalised:
        """The same, knowing the values of these devices."""
        return replace(self, values=values_of(registration_ids, self.message.names))

    def request(self, key: int, target: Target) -> HttpRequest:
        """The request for one device. Raises CannotPersonalise, InvalidTarget."""
        try:
            prepared = self._prepare(self.values.get(target.registration_id, {}))
        except MissingValue as error:
            raise CannotPersonalise("TemplateValueMissing", str(error)) from error
        except (RenderedTooLong, PayloadTooLarge) as error:
            raise CannotPersonalise("PayloadTooLarge", str(error)) from error
        except InvalidPushHeader as error:
            raise CannotPersonalise("InvalidPushHeader", str(error)) from error
        return prepared.request(key, target)

    def _prepare(self, values: Mapping[str, str]) -> Prepared:
        body, headers = self.message.render(values)
        notification = notification_of(
            replace(self.request_, body=body, headers=headers),
            self.application,
            self.provider.push_service,
            self.envelope.message_id,
        )
        return self.provider.prepare(notification, self.envelope)


def personalised(
    request: PublishRequest, application: Application, provider: Provider, envelope: Envelope
) -> Personalised | None:
    """How to send a message that differs between devices; None for one that does not."""
    if request.template is None:
        return None
    message = smart_message(request.body, request.template, RENDERED_OS[provider.push_service])
    if not message.names:
        return None
    return Personalised(
        provider=provider, application=application, request_=request, message=message, envelope=envelope
    )
