"""What calls raise: one type for everything, and one for each code an app should tell apart."""

from __future__ import annotations

from typing import ClassVar


class ClarionError(Exception):
    """The server refused: `code` says why and is stable, `message` is for people. Without a code it is 0.

    `retry_after` are the seconds after which the server asks to come back, 0.0 where it does not.
    """

    by_code: ClassVar[dict[int, type[ClarionError]]] = {}

    def __init_subclass__(cls, codes: tuple[int, ...] = ()) -> None:
        cls.by_code.update(dict.fromkeys(codes, cls))

    def __init__(self, code: int, message: str, http_status: int, retry_after: float = 0.0) -> None:
        super().__init__(code, message, http_status, retry_after)
        self.code = code
        self.message = message
        self.http_status = http_status
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.message} (code {self.code}, HTTP {self.http_status})"


class ConnectionFailed(ClarionError):
    """No answer, HTTP status 0: whether the server acted is unknown."""


class WrongApplicationInfo(ClarionError, codes=(2002,)):
    """Application id or key are wrong, or the key was revoked."""


class UnknownDevice(ClarionError, codes=(5000, 5001)):
    """No device is registered under that id, or none any more."""


class InvalidRepeatExpiresAt(ClarionError, codes=(5003,)):
    """repeat_expires_at cannot be used."""


class InvalidExpiration(ClarionError, codes=(5004,)):
    """The expiration is not in the future."""


class PublishForbidden(ClarionError, codes=(5007,)):
    """The key or the user may not publish."""


class InvalidPublishAt(ClarionError, codes=(5030,)):
    """publish_at cannot be used."""


class CannotCancel(ClarionError, codes=(5040,)):
    """The message was cancelled before, is over, or does not exist."""


class DeadUserToken(ClarionError, codes=(3064,)):
    """The user has to log in again."""


class TooManyRequests(ClarionError, codes=(5906,)):
    """This address asks too often; `retry_after` says when to come back."""


class ServiceUnavailable(ClarionError, codes=(5908,)):
    """The server cannot reach its database; nothing was changed."""


class UnknownChannel(ClarionError, codes=(5914,)):
    """No channel has that name."""


class UnknownPushTemplate(ClarionError, codes=(5930,)):
    """No push template has that name."""


class PropertyTooLong(ClarionError, codes=(8000,)):
    """A value is too long; the message names it."""
