"""Devices and providers of an application, as their pages show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.cache import cache
from django.db.models import Count, Prefetch
from django.db.models.functions import Now

from devices.models import Application, DeviceRegistration, RegistrationState, Subscription
from devices.push_services import Os, PushService
from messaging.credential_check import KeyAge, key_age
from messaging.models import Lane, LaneState, ProviderCredential

PAGE_LENGTH = 50
#: devices looked through for what was typed; who gets more types on
MOST_FOUND = 500
_COUNTS_KEPT_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFilter:
    """Which devices to show; empty means any."""

    search: str = ""
    os: Os | None = None
    state: RegistrationState | None = None
    channel: str = ""
    after: int = 0


@dataclass(frozen=True, slots=True)
class DevicePage:
    """One page of devices."""

    devices: list[DeviceRegistration]
    next_after: int | None


def device_page(application: Application, wanted: DeviceFilter) -> DevicePage:
    """Registrations in the order they came, with their channels. Two queries, two more with a search or a channel."""
    query = application.registrations.filter(pk__gt=wanted.after)
    if wanted.channel:
        query = query.filter(pk__in=_listening(application, wanted))
    elif wanted.search:
        query = query.filter(pk__in=_found(application, wanted.search))
    if wanted.os is not None:
        query = query.filter(os=wanted.os)
    if wanted.state is not None:
        query = query.filter(state=wanted.state)
    subscriptions = Prefetch("subscription_set", Subscription.objects.select_related("channel"))
    devices = list(query.order_by("pk").prefetch_related(subscriptions)[: PAGE_LENGTH + 1])
    return DevicePage(devices[:PAGE_LENGTH], devices[PAGE_LENGTH - 1].pk if len(devices) > PAGE_LENGTH else None)


@dataclass(frozen=True, slots=True)
class DeviceCounts:
    """How many devices there are."""

    by_os: list[tuple[Os, int]]  #: active ones
    gone: int

    @property
    def active(self) -> int:
        """Devices that can be sent to, over all operating systems."""
        return sum(devices for _, devices in self.by_os)


def device_counts(application: Application) -> DeviceCounts:
    """As of the last half minute: a million devices take 0.3 s and more to count."""
    counted = cache.get_or_set(f"devices/{application.pk}", lambda: _counted(application), _COUNTS_KEPT_S)
    assert isinstance(counted, DeviceCounts)
    return counted


def _counted(application: Application) -> DeviceCounts:
    groups = application.registrations.order_by().values_list("os", "state").annotate(devices=Count("pk"))
    counts = {(os, state): devices for os, state, devices in groups}
    active = [(os, counts.get((os.value, RegistrationState.ACTIVE.value), 0)) for os in Os]
    gone = sum(devices for (_, state), devices in counts.items() if state == RegistrationState.GONE)
    return DeviceCounts([(os, devices) for os, devices in active if devices], gone)


def _listening(application: Application, wanted: DeviceFilter) -> list[int]:
    """Who listens to the channel: of all of them what the page may need, of a search's findings those who do.

    From the index of subscriptions, in the order of the page: joined, a channel of few devices among a million took
    half a second, since the planner went through all devices.
    """
    channel = application.channels.filter(name=wanted.channel).first()
    query = Subscription.objects.filter(channel=channel, registration_id__gt=wanted.after)
    if wanted.search:
        query = query.filter(registration_id__in=_found(application, wanted.search))
    if wanted.os is not None:
        query = query.filter(os=wanted.os)
    if wanted.state is not None:
        query = query.filter(is_active=wanted.state == RegistrationState.ACTIVE)
    return list(query.order_by("registration_id").values_list("registration_id", flat=True)[: PAGE_LENGTH + 1])


def _found(application: Application, search: str) -> list[int]:
    """Registrations whose device id begins so, or of this user; each from an index of its own, where OR uses none."""
    by_device = application.registrations.filter(device_id__startswith=search).order_by("device_id")
    by_user = application.registrations.filter(user_id=search).exclude(user_id="").order_by("pk")
    found = [query.values_list("pk", flat=True)[:MOST_FOUND] for query in (by_device, by_user)]
    return [pk for pks in found for pk in pks]


@dataclass(frozen=True, slots=True)
class ProviderView:
    """One push service of an application."""

    service: PushService
    credential: ProviderCredential | None
    lanes: list[Lane]

    @property
    def age(self) -> KeyAge | None:
        """How old the credential is, and what is known of its end."""
        return key_age(self.credential) if self.credential is not None else None

    @property
    def lane(self) -> Lane | None:
        """The lane of the whole push service, which people control; None before its first request."""
        return next((lane for lane in self.lanes if not lane.origin), None)

    @property
    def is_paused(self) -> bool:
        """Nothing leaves through the push service."""
        return self.lane is not None and self.lane.state == LaneState.PAUSED

    @property
    def trouble(self) -> str:
        """Why nothing leaves through the whole service, as a sentence; "" when it does."""
        if self.credential is None:
            return f"{self.service.label} has no credential."
        if self.lane is not None and self.is_paused:
            return f"{self.service.label} is paused: {self.lane.paused_because.rstrip('.')}."
        if self.credential.check_ok is False:
            return f"{self.service.label} refused the credential when it was checked."
        return ""

    @property
    def light(self) -> str:
        """The word beside the light: the worst of its lanes."""
        if self.credential is None:
            return "No credential"
        states = {lane.state for lane in self.lanes}
        if LaneState.PAUSED in states:
            return "Paused"
        if LaneState.THROTTLED in states:
            return "Throttled"
        return "Ready"

    @property
    def tone(self) -> str:
        """The colour of the light."""
        return {"Ready": "good", "Throttled": "mixed", "Paused": "bad"}.get(self.light, "quiet")

    @property
    def last_accepted(self) -> Lane | None:
        """The lane that worked last."""
        worked = [lane for lane in self.lanes if lane.last_accepted_at is not None]
        return max(worked, key=lambda lane: lane.last_accepted_at or lane.since, default=None)

    @property
    def last_failed(self) -> Lane | None:
        """The lane that failed last."""
        failed = [lane for lane in self.lanes if lane.last_failed_at is not None]
        return max(failed, key=lambda lane: lane.last_failed_at or lane.since, default=None)


def provider_views(application: Application) -> list[ProviderView]:
    """Every push service, whether or not it is set up. Two queries."""
    credentials = {credential.push_service: credential for credential in application.credentials.all()}
    lanes = list(_lanes(application))
    return [
        ProviderView(service, credentials.get(service), [lane for lane in lanes if lane.push_service == service])
        for service in PushService
    ]


def _lanes(application: Application) -> Sequence[Lane]:
    """Lanes worth a line; a throttle whose time has passed counts as open. Web Push has one per push server."""
    lanes = list(application.lanes.annotate(read_at=Now()).order_by("push_service", "origin")[:100])
    for lane in lanes:
        over = lane.throttled_until is not None and lane.throttled_until <= lane.read_at
        if lane.state == LaneState.THROTTLED and over:
            lane.state = LaneState.OPEN
    return lanes
