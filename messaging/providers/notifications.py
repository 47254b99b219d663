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
class AndroidLights:
    """How the notification light blinks."""

    color: str  #: #rrggbb
    on_ms: int
    off_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AndroidLook:
    """Appearance beyond the texts; what is left at its default is the app's or Android's own choice."""

    icon: str = ""  #: name of a drawable
    color: str = ""  #: #rrggbb
    image_url: str = ""
    channel_id: str = ""  #: where the app has made such a channel, which then settles sound, vibration and lights
    importance: int = 0  #: 1 the least to 5 the most, 0 unsaid; before Android 8
    count: int = 0  #: on the icon, 0 leaves it to Android
    vibrate_ms: tuple[int, ...] = ()  #: pause and vibration in turn
    lights: AndroidLights | None = None
    stays_when_tapped: bool = False
    shows_before_unlocking: bool = False  #: direct boot


@dataclass(frozen=True, slots=True, kw_only=True)
class AndroidNotification:
    """Android: `data` holds every header plus `message` and `messageId`, all strings (contract.md 4)."""

    title: str
    text: str
    ticker: str = ""
    subtext: str = ""
    sound: str = ""
    style: AndroidStyle = AndroidStyle.BOTH
    click_action: str = ""  #: intent action of the activity to open
    look: AndroidLook = AndroidLook()
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
    category: str = ""  #: names buttons the app has registered
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
class WebAction:
    """A button of a browser's notification."""

    id: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebLook:
    """What browsers show beyond the texts."""

    icon_url: str = ""
    image_url: str = ""
    actions: tuple[WebAction, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebNotification:
    """Web Push: what the service worker shows, as JSON."""

    title: str
    body: str
    icon_url: str = ""
    image_url: str = ""
    badge_url: str = ""  #: for the status bar, in one colour
    actions: tuple[WebAction, ...] = ()
    url: str = ""  #: opened on click
    tag: str = ""
    data: dict[str, str] = field(default_factory=dict)


Notification = AndroidNotification | IosNotification | WindowsNotification | WebNotification
