"""Errors of publishing, with their wire codes; the others stand in `devices.errors`."""

from __future__ import annotations

from devices.errors import ApiError


class InvalidRepeatExpiresAt(ApiError):
    """Invalid repeatExpiresAt date in delivery options."""

    code = 5003


class PublishForbidden(ApiError):
    """User does not have the permission to publish messages."""

    code = 5007
    http_status = 403


class InvalidPublishAt(ApiError):
    """Invalid publishAt date in the delivery options."""

    code = 5030


class CannotCancel(ApiError):
    """Message has already been canceled or does not exist."""

    code = 5040


class InvalidRepeatEvery(ApiError):
    """repeatEvery must be a whole number of seconds, at least 1."""

    code = 5920


class InvalidSchedule(ApiError):
    """The wall-clock schedule or its time zone cannot be used."""

    code = 5927


class EmptyAudience(ApiError):
    """pushSinglecast is empty: an empty target never means everyone."""

    code = 5921


class InvalidPushHeader(ApiError):
    """A header of the notification has a value that cannot be used."""

    code = 5922


class PayloadOverLimit(ApiError):
    """The notification is larger than the push service takes."""

    code = 5923


class CannotControl(ApiError):
    """The campaign is not in a state for that."""

    code = 5925
    http_status = 409


class NothingToRetry(ApiError):
    """No device failed in a way that can be tried again."""

    code = 5926
    http_status = 409


class NotSupported(ApiError):
    """This is not supported."""

    code = 5924


class UnknownPushTemplate(ApiError):
    """There is no push template with that name."""

    code = 5930


class IdempotencyKeyReused(ApiError):
    """This Idempotency-Key was used for another request."""

    code = 5931
    http_status = 422


class IdempotencyKeyInUse(ApiError):
    """A request with this Idempotency-Key is still being carried out. Try again."""

    code = 5932
    http_status = 409


class UnknownSubscription(ApiError):
    """There is no polling subscription with that id in this channel."""

    code = 5933


class UnknownEmailTemplate(ApiError):
    """Email Template doesn't exist."""

    code = 24002
