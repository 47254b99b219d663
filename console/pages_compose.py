"""What the composer shows beside the form: previews, payloads with their bytes, the audience, the same call by curl."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass, field
from urllib.parse import quote

from django.conf import settings
from django.core.cache import cache

from console.form_delivery import FiringPlan, firing_plan
from console.forms import ComposeForm
from console.pages_devices import provider_views
from console.wall_clock import Moment
from devices import audience
from devices.audience import AudienceSpec, QuickCount
from devices.errors import ApiError
from devices.models import Application
from devices.push_services import NATIVE_PUSH_SERVICE, Os, PushService
from devices.timestamps import to_wire
from messaging.models import InDoubtPolicy, PublishPolicy
from messaging.providers.base import Envelope
from messaging.providers.notifications import Notification
from messaging.providers.registry import preview_payload
from messaging.publishing import PublishRequest, audience_of, render_for

#: the id is not known before publishing; a real one has the same length, so the bytes are right
_SAMPLE_ID = "message:00000000-0000-0000-0000-000000000000"
_COUNT_KEPT_S = 10
#: a review is shown after this at the latest; counting a wide segment among a million devices takes seconds
REVIEW_PATIENCE_MS = 300
#: while the reader has an estimate before them; then they have to do with it
EXACT_PATIENCE_MS = 15_000
_FRAMES_WITHOUT_AUDIENCE = (Os.ANDROID, Os.IOS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The bytes one push service would get."""

    service: PushService
    oses: str  #: whom it is for, in words
    text: str = ""
    size: int = 0
    limit: int = 1
    error: str = ""

    @property
    def percent(self) -> int:
        """Of the limit, at most 100."""
        return min(100, round(100 * self.size / self.limit))

    @property
    def is_over(self) -> bool:
        """The push service would refuse it."""
        return self.size > self.limit


@dataclass(frozen=True, slots=True)
class Frame:
    """One device as the reader would see it."""

    os: Os
    notification: Notification


@dataclass(frozen=True, slots=True)
class AudienceView:
    """Devices the message would reach now."""

    by_os: list[tuple[Os, int]]
    named: int | None = None  #: device ids given; None when the audience is not a list
    is_chosen: bool = True
    is_pushed: bool = True  #: False: pub/sub only
    is_exact: bool = True  #: False: estimated, since counting would have kept somebody waiting who types
    by_service: dict[PushService, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Devices over all operating systems."""
        total = sum(devices for _, devices in self.by_os)
        return total if self.is_exact else audience.rounded(total)

    @property
    def unknown(self) -> int:
        """Named device ids that no active registration has."""
        return max(0, (self.named or 0) - self.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposePreview:
    """Everything that changes while typing."""

    frames: list[Frame]
    payloads: list[Payload]
    audience: AudienceView
    moment: Moment | None
    plan: FiringPlan | None  #: None when it fires once
    hindrances: list[str]  #: why some of the devices would have to wait, as things stand
    curl: str
    console_only: list[str]  #: what the form says and the API has no property for

    @property
    def is_over_limit(self) -> bool:
        """Some push service would refuse it."""
        return any(payload.is_over for payload in self.payloads)


def compose_preview(form: ComposeForm, application: Application, *, patience_ms: int | None = None) -> ComposePreview:
    """What the form says so far. `form` has been validated, whether or not it is valid."""
    request = form.draft_request()
    oses = request.target_oses()
    shown = tuple(Os) if oses is None else oses or _FRAMES_WITHOUT_AUDIENCE
    rendered, payloads = payloads_of(request, application, shown)
    reached = count_audience(request, application, is_chosen=form.is_audience_known, patience_ms=patience_ms)
    return ComposePreview(
        frames=frames_of(rendered, shown),
        payloads=payloads,
        audience=reached,
        moment=form.moment,
        plan=firing_plan(request, form.zone_name),
        hindrances=_hindrances(application, reached),
        curl=as_curl(request, application),
        console_only=console_only(request),
    )


def frames_of(rendered: dict[PushService, Notification], shown: tuple[Os, ...]) -> list[Frame]:
    """A device of each operating system whose notification can be drawn."""
    return [Frame(os, rendered[NATIVE_PUSH_SERVICE[os]]) for os in shown if NATIVE_PUSH_SERVICE[os] in rendered]


def payloads_of(
    request: PublishRequest, application: Application, oses: tuple[Os, ...], message_id: str = _SAMPLE_ID
) -> tuple[dict[PushService, Notification], list[Payload]]:
    """The notification and the exact payload per push service that reaches these operating systems."""
    services: dict[PushService, list[Os]] = {}
    for os in oses:
        services.setdefault(NATIVE_PUSH_SERVICE[os], []).append(os)
    rendered: dict[PushService, Notification] = {}
    payloads = []
    for service, reached in services.items():
        words = ", ".join(os.label for os in reached)
        try:
            rendered[service] = render_for(request, application, service, message_id)
        except ApiError as error:
            payloads.append(Payload(service=service, oses=words, error=error.message))
            continue
        found = preview_payload(service, rendered[service], Envelope(message_id=message_id, occurrence_id=0))
        payloads.append(Payload(service=service, oses=words, text=found.text, size=found.size, limit=found.limit))
    return rendered, payloads


def _counted_lately(spec: AudienceSpec) -> QuickCount:
    """The count of the last seconds: every key press asks for it, and a wide segment takes 0.3 s."""
    key = "audience/" + hashlib.sha256(repr(spec).encode()).hexdigest()
    counted: QuickCount | None = cache.get_or_set(key, lambda: audience.count_quickly(spec), _COUNT_KEPT_S)
    assert counted is not None
    return counted


def count_audience(
    request: PublishRequest, application: Application, *, is_chosen: bool = True, patience_ms: int | None = None
) -> AudienceView:
    """Devices per operating system: the number the send button carries.

    Counted now, and every one of them if that takes no longer than `patience_ms`; None: what was counted in the last
    seconds will do, as for somebody who types.
    """
    channel = application.channels.filter(name=request.channel_name).values_list("pk", flat=True).first()
    by_os: dict[Os, int] = {}
    by_service: dict[PushService, int] = {}
    spec = audience_of(request, application, channel)
    counted = _counted_lately(spec) if patience_ms is None else audience.count_quickly(spec, patience_ms=patience_ms)
    for entry in counted.counts:
        by_os[entry.os] = by_os.get(entry.os, 0) + entry.devices
        by_service[entry.push_service] = by_service.get(entry.push_service, 0) + entry.devices
    return AudienceView(
        by_os=list(by_os.items()),
        named=None if request.push_singlecast is None else len(request.push_singlecast),
        is_chosen=is_chosen,
        is_pushed=request.publish_policy is not PublishPolicy.PUBSUB,
        is_exact=counted.is_exact,
        by_service=by_service,
    )


def _hindrances(application: Application, reached: AudienceView) -> list[str]:
    """A sentence for each push service that would not take the message now. Two queries."""
    if not reached.is_chosen or not reached.by_service:
        return []
    found = []
    for provider in provider_views(application):
        devices = reached.by_service.get(provider.service, 0)
        if devices and (trouble := provider.trouble):
            about = "" if reached.is_exact else "about "
            found.append(f"{trouble} {about}{devices:,} device{'' if devices == 1 else 's'} would have to wait.")
    return found


def as_json(request: PublishRequest) -> dict[str, object]:
    """The request as the REST API takes it (seed 0)."""
    properties: dict[str, object] = {"message": request.body}
    if request.headers:
        properties["headers"] = dict(request.headers)
    properties["publishPolicy"] = str(request.publish_policy)
    if request.push_broadcast is not None:
        properties["pushBroadcast"] = int(request.push_broadcast)
    if request.push_singlecast is not None:
        properties["pushSinglecast"] = list(request.push_singlecast)
    if request.segment_query:
        properties["segmentQuery"] = request.segment_query
    if request.publish_at is not None:
        properties["publishAt"] = to_wire(request.publish_at)
    if request.repeat_every is not None:
        properties["repeatEvery"] = round(request.repeat_every.total_seconds())
    if request.repeat_every is not None and request.repeat_expires_at is not None:
        properties["repeatExpiresAt"] = to_wire(request.repeat_expires_at)
    return properties


def console_only(request: PublishRequest) -> list[str]:
    """Labels of what `as_json` leaves out, for Backendless Messaging has no property for it."""
    said = {
        "the repetition by wall clock": bool(request.cron),
        "Give up after": request.ttl is not None,
        "If no answer came": request.in_doubt is not InDoubtPolicy.RESEND,
        "At most, requests a second": request.requests_per_second is not None,
    }
    return [label for label, is_said in said.items() if is_said]


def as_curl(request: PublishRequest, application: Application) -> str:
    """A shell command that publishes the same; the key is left to fill in, since only its hash is stored."""
    channel = quote(request.channel_name or "default", safe="")
    url = f"{settings.PUBLIC_URL}/{str(application.application_id).upper()}/YOUR-REST-API-KEY/messaging/{channel}"
    body = json.dumps(as_json(request), ensure_ascii=False, indent=2)
    return f"curl {shlex.quote(url)} \\\n  -H 'Content-Type: application/json' \\\n  -d {shlex.quote(body)}"
