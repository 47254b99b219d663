"""A message rendered for one operating system: what the device will show, before any push service's own format."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class AndroidStyle(Enum):
    """What an FCM message carries (contract.md 4): the Backendless SDK reads data, plain Firebase apps need both."""

    DATA = "data"
    NOTIFICATION = "notification"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class AndroidNotification:
    """Android: `data` holds every header plus `message` and `messageId`, all strings (contract.md 4)."""

    title: str
    text: str
    ticker: str = ""
    subtext: str = ""
    sound: str = ""
    style: AndroidStyle = AndroidStyle.BOTH
    is_urgent: bool = True  #: wakes a sleeping device
    data: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IosNotification:
    """iOS and macOS: the parts of `aps`, and what stands beside it."""

    title: str = ""
    subtitle: str = ""
    body: str = ""
    badge: int | None = None
    sound: str = ""
    content_available: bool = False
    mutable_content: bool = False
    thread_id: str = ""
    custom: dict[str, str] = field(default_factory=dict)


class WindowsKind(Enum):
    """`wp-type`; the X-WNS-Type of the request."""

    TOAST = "toast"
    TILE = "tile"
    BADGE = "badge"
    RAW = "raw"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsNotification:
    """Windows: texts of a toast or tile, a badge value, or raw content."""

    kind: WindowsKind
    title: str = ""
    text: str = ""
    parameter: str = ""  #: launch argument of a toast
    image_url: str = ""
    badge: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebNotification:
    """Web Push: what the service worker shows, as JSON."""

    title: str
    body: str
    icon_url: str = ""
    image_url: str = ""
    url: str = ""  #: opened on click
    tag: str = ""
    data: dict[str, str] = field(default_factory=dict)


Notification = AndroidNotification | IosNotification | WindowsNotification | WebNotification
