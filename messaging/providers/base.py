"""What every provider takes and gives: targets, HTTP requests and answers, outcomes, errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol

from devices.push_services import PushService
from messaging.providers.notifications import Notification


class OutcomeKind(Enum):
    """What became of one request. The tables in `providers/<service>.py` map every answer to one of these."""

    ACCEPTED = "accepted"  #: the push service took the notification
    GONE = "gone"  #: the token is dead for certain: deactivate the registration
    SUSPECT = "suspect"  #: the token is refused, but a fault of ours looks the same: deactivate only under the guard
    RETRY = "retry"  #: not taken; the same notification again later
    REAUTH = "reauth"  #: the access token was refused: renew it, send once more
    PAUSE = "pause"  #: our credential is at fault: stop the lane, this device stays pending
    FAIL_MESSAGE = "fail_message"  #: this payload will never be accepted, from any device
    KEY_REFUSED = "key_refused"  #: our key, which subscriptions are bound to: this device fails; all do, the lane stops
    FAIL_DEVICE = "fail_device"  #: this device does not get it, its registration stays
    IN_DOUBT = "in_doubt"  #: the request left us and no answer came: it may have been delivered


class TransportFailure(Enum):
    """Why a request has no HTTP answer."""

    NOT_SENT = "not_sent"  #: no connection, or refused unprocessed (GOAWAY, REFUSED_STREAM): safe to send again
    IN_DOUBT = "in_doubt"  #: lost after the request left, or the deadline passed
    TLS = "tls"  #: certificate or protocol of the other side is wrong
    FORBIDDEN_ADDRESS = "forbidden_address"  #: the name resolves to an address we must not connect to


@dataclass(frozen=True, slots=True)
class Target:
    """The device a request goes to."""

    registration_id: int
    token: str  #: as stored: hex, FCM token, channel URI, or PushSubscription JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What every request of one occurrence shares besides the notification itself."""

    message_id: str  #: wire id, "message:<UUID>"
    occurrence_id: int
    ttl_s: int = 2_419_200  #: remaining life at send time; FCM's and Backendless's default is four weeks


# HttpRequest, HttpAnswer and PushOutcome are made once a push. Nobody changes one, yet none is frozen: setting fields
# through object.__setattr__ takes four times as long, 1.5 us a push for the three of them.


@dataclass(slots=True)
class HttpRequest:
    """One POST. `key` comes back in the answer; the transport never reads it."""

    key: int
    url: str
    headers: tuple[str, ...]  #: raw lines, "name: value", checked printable ASCII by whoever built them
    body: bytes
    own_headers: tuple[str, ...] = ()  #: such lines too, of this request alone; `headers` are shared by a batch


@dataclass(slots=True)
class HttpAnswer:
    """An answer, or the reason there is none. `body` is cut at 8 KiB; header names are lower case.

    HTTP/1.1's reason phrase stands in `headers` under ":reason".
    """

    key: int
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    failure: TransportFailure | None = None
    detail: str = ""  #: the transport's words for a failure, no secrets in it
    elapsed_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class PushOutcome:
    """What a push service said about one request."""

    kind: OutcomeKind
    reason: str = ""  #: the service's own word, e.g. "Unregistered"; at most 64 printable characters
    http_status: int = 0
    provider_id: str = ""  #: the service's id of the notification, where it gives one
    detail: str = ""  #: explanation by the service, at most 256 printable characters, for ops
    retry_after_s: float | None = None  #: clamped to 1..3600; None when the service gave none
    whole_lane: bool = False  #: RETRY for everything in the lane (quota, outage), not this device alone
    gone_since: datetime | None = None  #: APNs 410: dead since then; a token set later is alive
    is_suspicious: bool = False  #: a fault of ours looks the same: counts for the mass-drop guard, whatever the kind


class ProviderError(Exception):
    """A provider could not do its work for a whole batch."""


class CredentialFault(ProviderError):
    """The credential is refused or unusable: pause the lane. The message tells ops what to do, without secrets."""


class UntrustedServer(CredentialFault):
    """Whoever answers proves not to be the push service: pause the lane too. It says nothing of the credential."""


class ProviderUnavailable(ProviderError):
    """The service (or its token endpoint) cannot be reached now: try the batch again later."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PayloadTooLarge(ProviderError):
    """The rendered payload is over the push service's limit."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"The payload has {size} bytes, the push service takes {limit}.")
        self.size, self.limit = size, limit


class InvalidTarget(ProviderError):
    """The stored token cannot be addressed (bad URL, key off the curve, ...): fail this device only."""


class Transport(Protocol):
    """Moves requests; knows nothing of push. The drain calls `submit` and `poll` from one thread."""

    @property
    def in_flight(self) -> int:
        """Requests submitted whose answers `poll` has not yet returned."""

    def submit(self, request: HttpRequest) -> None:
        """Start a request; returns at once."""

    def poll(self, timeout_s: float) -> list[HttpAnswer]:
        """Answers that came in, waiting at most `timeout_s` seconds for the first."""

    def close(self) -> None:
        """Close every connection."""


class Prepared(Protocol):
    """A notification rendered once for one push service; only the device is still to be filled in."""

    @property
    def payload(self) -> bytes:
        """The rendered payload without a device's token."""

    def request(self, key: int, target: Target) -> HttpRequest:
        """The request for one device. Raises InvalidTarget."""


class Provider(Protocol):
    """One push service with one credential."""

    push_service: PushService
    transport: Transport

    def authorize(self, *, refused: bool = False) -> None:
        """Have a valid access token, renewing it if it is old (or `refused`, when the service's own rules allow).

        Raises CredentialFault, ProviderUnavailable.
        """

    def prepare(self, notification: Notification, envelope: Envelope) -> Prepared:
        """Render for all devices of a batch. Raises PayloadTooLarge."""

    def parse(self, answer: HttpAnswer) -> PushOutcome:
        """Judge one answer. Never raises, whatever the answer holds."""

    def lane_key(self, target: Target) -> str:
        """The origin whose limits this device's requests share ("" except for Web Push and WNS)."""
