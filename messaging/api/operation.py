"""One call of the REST API as the document (OpenAPI) tells it, and what many calls have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from devices import errors as general
from devices.api.shapes import CHANNEL_NAME, MAX_DEVICE_ID
from devices.errors import ApiError
from devices.push_services import Os
from messaging import errors

Errors = tuple[type[ApiError], ...]

_BODY: Errors = (
    general.InvalidJson,
    general.InvalidProperty,
    general.PropertyTooLong,
    general.UnsupportedContentType,
    general.BodyTooLarge,
    general.BodyTooSlow,
)
_USER: Errors = (general.DeadUserToken, general.UserDisabled)
_ONCE: Errors = (errors.IdempotencyKeyReused, errors.IdempotencyKeyInUse, general.InvalidProperty)
PUBLISH_ERRORS: Errors = (
    errors.InvalidRepeatExpiresAt,
    errors.PublishForbidden,
    errors.InvalidPublishAt,
    errors.InvalidRepeatEvery,
    errors.EmptyAudience,
    errors.InvalidPushHeader,
    errors.PayloadOverLimit,
    general.InvalidChannelName,
    general.InvalidSegmentQuery,
)

CHANNEL: dict[str, Any] = {"type": "string", **CHANNEL_NAME, "examples": ["default"]}
MESSAGE_ID: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "examples": ["message:96DB5C50-C1FF-4B35-9209-71523AD1315C"],
}
DEVICE: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": MAX_DEVICE_ID, "examples": ["my-phone"]}
TEMPLATE: dict[str, Any] = {"type": "string", "minLength": 1, "examples": ["welcome"]}
OS: dict[str, Any] = {"type": "string", "enum": Os.values}
IDEMPOTENCY_KEY: dict[str, Any] = {"type": "string", "pattern": r"^[!-~]{1,255}$"}


@dataclass(frozen=True, slots=True)
class Link:
    """A call that goes on from this one's answer."""

    operation_id: str
    parameters: Mapping[str, str]  #: runtime expressions (OpenAPI 3.1, "Runtime Expressions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one address."""

    method: str
    path: str  #: below the prefix
    operation_id: str
    tag: str
    summary: str
    description: str = ""
    parameters: Mapping[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)  #: name: (meaning, schema)
    bodies: tuple[type[msgspec.Struct], ...] = ()  #: together they are the body
    examples: Mapping[str, dict[str, Any]] = field(default_factory=dict)  #: bodies by what they do
    answer: object = None  #: type of the JSON of a 200
    links: tuple[Link, ...] = ()
    never_succeeds: bool = False
    errors: Errors = ()
    is_once: bool = False  #: takes an Idempotency-Key
    takes_user_token: bool = True  #: a dead one is refused

    @property
    def all_errors(self) -> Errors:
        """Every refusal there can be, each once."""
        found = (
            *(_BODY if self.bodies else ()),
            *(_ONCE if self.is_once else ()),
            *(_USER if self.takes_user_token else ()),
            *self.errors,
            general.WrongApplicationInfo,
            general.NotFound,
            general.MethodNotAllowed,
            general.TooManyRequests,
            general.InternalError,
            general.ServiceUnavailable,
        )
        return tuple(dict.fromkeys(found))
