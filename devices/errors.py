"""Errors the API answers with: one class per code. The docstring is the default message.

Codes 2002 to 8000 are the vendor's (contract.md 3); 5900 to 5999 are ours. Every one stands in the README.
"""

from __future__ import annotations

from typing import ClassVar


class ApiError(Exception):
    """The request cannot be carried out."""

    code: ClassVar[int]
    http_status: ClassVar[int] = 400
    #: seconds after which the same call may succeed; 0 where time does not help
    retry_after_s: int = 0

    def __init__(self, message: str = "", *, field: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip())
        self.field = field  #: wire name of the property at fault, "" when none is

    @property
    def message(self) -> str:
        """What the caller is told."""
        return str(self)


class WrongApplicationInfo(ApiError):
    """Version is disabled or provided wrong application info (application id or secret key)"""

    code = 2002
    http_status = 401


class UnknownDevice(ApiError):
    """Unable to retrieve device registration - unknown device ID."""

    code = 5000


class UnknownDeviceToCancel(ApiError):
    """Unable to cancel device registration - unknown device ID."""

    code = 5001


class InvalidExpiration(ApiError):
    """Invalid expiration date. The expiration date must be after the current time."""

    code = 5004


class PropertyTooLong(ApiError):
    """Property value exceeds the length limit."""

    code = 8000


class InvalidJson(ApiError):
    """The body is not valid JSON."""

    code = 5900


class InvalidProperty(ApiError):
    """A property has a value that cannot be used."""

    code = 5901


class UnsupportedContentType(ApiError):
    """Content-Type must be application/json."""

    code = 5902
    http_status = 415


class BodyTooLarge(ApiError):
    """The body is too large."""

    code = 5903
    http_status = 413


class NotFound(ApiError):
    """There is nothing at this address."""

    code = 5904
    http_status = 404


class MethodNotAllowed(ApiError):
    """This address does not take that method."""

    code = 5905
    http_status = 405


class TooManyRequests(ApiError):
    """Too many requests."""

    code = 5906
    http_status = 429

    def __init__(self, message: str = "", *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class InternalError(ApiError):
    """Something went wrong on our side; it is in the server's log."""

    code = 5907
    http_status = 500


class ServiceUnavailable(ApiError):
    """The database cannot be reached; nothing was changed. Try again."""

    code = 5908
    http_status = 503
    retry_after_s = 2


class BodyTooSlow(ApiError):
    """The body did not arrive in time; nothing was changed. Try again."""

    code = 5909
    http_status = 408


class InvalidToken(ApiError):
    """The deviceToken is not one of the push service that the os names."""

    code = 5910


class PermissionMissing(ApiError):
    """This API key may not do that."""

    code = 5911
    http_status = 403


class InvalidChannelName(ApiError):
    """A channel name has 1 to 128 characters, no slash or control character, and is none of the reserved words."""

    code = 5912


class UnknownChannel(ApiError):
    """There is no channel with that name."""

    code = 5914


class InvalidSegmentQuery(ApiError):
    """The segmentQuery is no condition over device registrations."""

    code = 5913


class LoginByIdForbidden(ApiError):
    """Login by object id is allowed only for Code Runner API key"""

    code = 2014


class WrongLogin(ApiError):
    """Invalid login or password"""

    code = 3003


class EmptyLogin(ApiError):
    """Login or password is empty."""

    code = 3006


class MissingIdentity(ApiError):
    """The property that users log in with (email or login) is missing."""

    code = 3011


class NobodyLoggedIn(ApiError):
    """Unable to logout: the request names no user-token."""

    code = 3023


class IdentityTaken(ApiError):
    """User already exists with that identity."""

    code = 3033


class TooManyLogins(ApiError):
    """User account is locked out due to too many failed logins. Try again in 15 minutes."""

    code = 3036


class DeadUserToken(ApiError):
    """Not existing user token. Relogin user to update your user token"""

    code = 3064


class UserDisabled(ApiError):
    """User account is disabled."""

    code = 3090
