"""What a push service's reason means, who can fix it and what to do: one line for every reason of the provider tables.

Sources: Apple "Handling notification responses", FCM v1 ErrorCode, RFC 8030 and 8292, WNS "Push notification service
request and response headers".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from devices.push_services import PushService
from messaging.models import DeliveryOutcome


class Fixer(Enum):
    """Who has to act."""

    NOBODY = "Nobody"
    MARKETER = "Whoever wrote the message"
    OPS = "Operations"
    DEVELOPER = "App developers"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A reason in plain words."""

    meaning: str
    fixer: Fixer
    action: str


_DEAD = Explanation(
    "The app was removed from the device, or the token was replaced.",
    Fixer.NOBODY,
    "The registration was deactivated. It comes back when the app registers again.",
)
_WRONG_ENVIRONMENT = Explanation(
    "The token does not belong to this environment or app: often a development build on the production key.",
    Fixer.DEVELOPER,
    "Compare the APNs environment and topic under Providers with the build that registered.",
)
_CREDENTIAL = Explanation(
    "The push service refuses our credential.",
    Fixer.OPS,
    "Replace the credential, then resume the lane under Providers. The devices stay pending until then.",
)
_OURS = Explanation(
    "The request was malformed. This is a fault of Clarion or of a custom header.",
    Fixer.OPS,
    "Look at the payload below and at the extra headers; report it if they are right.",
)
_TOO_LARGE = Explanation(
    "The notification is larger than the push service takes.", Fixer.MARKETER, "Shorten the text or the extra headers."
)
_BUSY = Explanation(
    "The push service asked to slow down, or was out of order, until the retries were used up.",
    Fixer.NOBODY,
    "Sending slows down by itself. If it goes on, ask the push service for quota.",
)
_UNREACHABLE = Explanation(
    "No answer came before the deadline. The device may have got it or not.",
    Fixer.OPS,
    "Check this machine's way to the push service: DNS, firewall, the service's status page.",
)
_ADDRESS = Explanation(
    "The stored address of the device cannot be used.",
    Fixer.DEVELOPER,
    "The app must register again with a valid token.",
)

_APNS = {
    "Unregistered": _DEAD,
    "ExpiredToken": _DEAD,
    "BadDeviceToken": _WRONG_ENVIRONMENT,
    "DeviceTokenNotForTopic": _WRONG_ENVIRONMENT,
    **dict.fromkeys(("BadTopic", "MissingTopic", "TopicDisallowed"), _CREDENTIAL),
    **dict.fromkeys(
        (
            "InvalidProviderToken",
            "MissingProviderToken",
            "ExpiredProviderToken",
            "BadEnvironmentKeyIdInToken",
            "BadEnvironmentKeyInToken",
            "UnrelatedKeyIdInToken",
            "BadCertificate",
            "BadCertificateEnvironment",
            "Forbidden",
        ),
        _CREDENTIAL,
    ),
    **dict.fromkeys(
        (
            "BadCollapseId",
            "BadExpirationDate",
            "BadMessageId",
            "BadPriority",
            "InvalidPushType",
            "PayloadEmpty",
            "DuplicateHeaders",
            "MissingDeviceToken",
            "BadPath",
            "MethodNotAllowed",
        ),
        _OURS,
    ),
    "PayloadTooLarge": _TOO_LARGE,
    **dict.fromkeys(
        (
            "TooManyRequests",
            "TooManyProviderTokenUpdates",
            "InternalServerError",
            "ServiceUnavailable",
            "Shutdown",
            "IdleTimeout",
        ),
        _BUSY,
    ),
}
_FCM = {
    "UNREGISTERED": _DEAD,
    "INVALID_ARGUMENT": Explanation(
        "FCM found a value it does not take: a token that is none, or a field of the message.",
        Fixer.MARKETER,
        "The detail names the field. If it is the token, the app must register again.",
    ),
    "INVALID_ARGUMENT token": Explanation(
        "FCM does not know such a token: it was cut, mistyped or made for another service.",
        Fixer.DEVELOPER,
        "The app must register again with the token Firebase gives it.",
    ),
    "SENDER_ID_MISMATCH": Explanation(
        "The token belongs to another Firebase project than the service account.",
        Fixer.DEVELOPER,
        "Use the service account of the project the app was built with.",
    ),
    **dict.fromkeys(
        ("PERMISSION_DENIED", "SERVICE_DISABLED", "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", "NOT_FOUND"), _CREDENTIAL
    ),
    "invalid_grant": Explanation(
        "Google does not accept the service account: the key was deleted, or this machine's clock is wrong.",
        Fixer.OPS,
        "Check the clock, then make a new key in the Google Cloud console and set it under Providers.",
    ),
    **dict.fromkeys(("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "INTERNAL", "UNSPECIFIED_ERROR"), _BUSY),
}
_WNS = {
    "dropped": Explanation(
        "WNS took the request and threw the notification away: the device was offline, or notifications are off.",
        Fixer.NOBODY,
        "Nothing can be done; WNS does not keep toasts for devices that are offline.",
    ),
    "channelthrottled": _BUSY,
    "Domain Blocked": _CREDENTIAL,
}
#: reasons of ours: no request was made, or none was answered
_OWN_REASONS = {
    "TemplateValueMissing": Explanation(
        "The text names a value that this device or call does not have.",
        Fixer.MARKETER,
        "Give the value a default, as in {name|friend}, or send it along.",
    ),
    "PayloadTooLarge": _TOO_LARGE,
    "InvalidPushHeader": Explanation(
        "A header has a value that this platform cannot show.", Fixer.MARKETER, "The detail names the header."
    ),
    "in_doubt": _UNREACHABLE,
    "Interrupted": Explanation(
        "A worker died while requests were on their way. The message was not to be sent twice.",
        Fixer.MARKETER,
        "Retry these devices if showing it twice does less harm than not at all.",
    ),
}
_BY_STATUS: dict[PushService, dict[int, Explanation]] = {
    PushService.WNS: {401: _CREDENTIAL, 403: _WRONG_ENVIRONMENT, 404: _DEAD, 406: _BUSY, 410: _DEAD, 413: _TOO_LARGE},
    PushService.WEBPUSH: {401: _CREDENTIAL, 403: _CREDENTIAL, 404: _DEAD, 410: _DEAD, 413: _TOO_LARGE, 429: _BUSY},
    PushService.APNS: {403: _CREDENTIAL, 410: _DEAD, 413: _TOO_LARGE, 429: _BUSY},
    PushService.FCM: {401: _CREDENTIAL, 403: _CREDENTIAL, 404: _DEAD, 429: _BUSY},
}
_BY_REASON = {PushService.APNS: _APNS, PushService.FCM: _FCM, PushService.WNS: _WNS, PushService.WEBPUSH: {}}
_BY_OUTCOME = {
    DeliveryOutcome.GONE: _DEAD,
    DeliveryOutcome.EXHAUSTED: _BUSY,
    DeliveryOutcome.DROPPED: _WNS["dropped"],
    DeliveryOutcome.EXPIRED: Explanation(
        "The message's life ended before this device's turn came.", Fixer.OPS, "Start more workers, or send earlier."
    ),
    DeliveryOutcome.UNREGISTERED: Explanation(
        "The device unregistered between the start of the campaign and its turn.", Fixer.NOBODY, "Nothing to do."
    ),
    DeliveryOutcome.CANCELLED: Explanation(
        "Somebody cancelled the campaign before this device's turn came.", Fixer.NOBODY, "Nothing to do."
    ),
    DeliveryOutcome.UNKNOWN: _UNREACHABLE,
    DeliveryOutcome.NOT_SENDABLE: _ADDRESS,
    DeliveryOutcome.FAILED: _OURS,
}


def explain(service: PushService, outcome: DeliveryOutcome, reason: str, http_status: int) -> Explanation:
    """The best explanation there is: by the service's own word, else by HTTP status, else by outcome."""
    known = _OWN_REASONS.get(reason) or _BY_REASON[service].get(reason) or _BY_STATUS[service].get(http_status)
    if known is not None:
        return known
    if 500 <= http_status <= 599:
        return _BUSY
    if outcome is DeliveryOutcome.EXHAUSTED and http_status == 0:
        return _UNREACHABLE
    return _BY_OUTCOME[outcome]
