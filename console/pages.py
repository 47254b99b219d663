"""What every page shows around its content, and small values several pages share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest

from console.access import applications_of
from devices.models import Application
from messaging import database
from messaging.heartbeat import DEAD_AFTER
from messaging.models import Occurrence, WorkerGroup

#: (url name, label, icon) of the navigation
SECTIONS = (
    ("dashboard", "Overview", "overview"),
    ("compose", "Compose", "compose"),
    ("message_list", "Messages", "messages"),
    ("device_list", "Devices", "devices"),
    ("providers", "Providers", "providers"),
)
#: what the name of a page begins with -> the section it belongs to
_SECTION_OF = {
    "message": "message_list",
    "device": "device_list",
    "provider": "providers",
    "credential": "providers",
    "compose": "compose",
}
#: applications the switcher lists; beyond that the home page has them all
SWITCHER_LENGTH = 50


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context of `base.html`: the application, those to switch to, the sections."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    return {
        "application": getattr(request, "application", None),
        "applications": applications_of(user)[:SWITCHER_LENGTH],  # lazy: fragments never read it
        "may_send": getattr(request, "may_send", False),
        "sections": SECTIONS,
        "section": _section(request.resolver_match.url_name or "") if request.resolver_match else "",
    }


def _section(page: str) -> str:
    return next((section for prefix, section in _SECTION_OF.items() if page.startswith(prefix)), page)


@dataclass(frozen=True, slots=True)
class WorkersView:
    """Whether somebody sends."""

    workers: int  #: in groups seen lately
    has_ticker: bool
    seen_at: datetime | None  #: the latest sign of life
    waiting: int  #: messages of the application that are due and not finished

    @property
    def is_stalled(self) -> bool:
        """Nothing will move until somebody starts workers."""
        return not self.workers or not self.has_ticker


def workers_view(application: Application) -> WorkersView:
    """Two queries: the groups, and what waits for them."""
    now = database.now()
    groups = list(WorkerGroup.objects.all())
    live = [group for group in groups if now - group.seen_at < DEAD_AFTER]
    waiting = Occurrence.objects.filter(
        message__application=application, closed_at=None, due_at__lte=now - timedelta(seconds=2)
    ).count()
    return WorkersView(
        workers=sum(group.workers for group in live if group.kind == "workers"),
        has_ticker=any(group.kind == "ticker" for group in live),
        seen_at=max((group.seen_at for group in groups), default=None),
        waiting=waiting,
    )
