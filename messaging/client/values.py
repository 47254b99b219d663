"""What calls take and give: the fields of the SDKs, in Python's spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntFlag


class PublishStatus(Enum):
    """What became of a message."""

    SCHEDULED = "SCHEDULED"
    PUBLISHED = "PUBLISHED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"


class PublishPolicy(Enum):
    """By which way a message goes out."""

    PUSH = "PUSH"
    PUBSUB = "PUBSUB"
    BOTH = "BOTH"


class PushBroadcast(IntFlag):
    """Operating systems of a channel; join them with a bar."""

    NONE = 0
    IOS = 1
    ANDROID = 2
    WP = 4
    OSX = 8
    WEB = 16
    ALL = 31


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """Who publishes, and how the message looks."""

    publisher_id: str | None = None
    headers: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    subtopic: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """Whom a message is for, and when. Moments without a time zone are refused."""

    publish_policy: PublishPolicy | str | None = None
    push_broadcast: PushBroadcast | int | str | None = None
    push_singlecast: Sequence[str] | None = None
    segment_query: str | None = None
    publish_at: datetime | None = None
    repeat_every: int | None = None  #: seconds
    repeat_expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MessageStatus:
    """Id and status of a message."""

    message_id: str
    status: PublishStatus
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceRegistration:
    """A registered device."""

    id: str
    device_token: str
    device_id: str
    os: str
    os_version: str
    channels: tuple[str, ...]
    expiration: datetime | None
