"""Accept messages: the only writer of a new or cancelled Message. Forms and REST come here alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction

from devices.audience import AudienceSpec
from devices.channels import channel_ids, channel_name, ensure_channels, forget
from devices.models import ApiKey, Application
from devices.push_services import NATIVE_PUSH_SERVICE, Os, OsMask, PushService
from messaging import database, queue
from messaging.errors import (
    CannotCancel,
    CannotControl,
    InvalidPublishAt,
    InvalidPushHeader,
    InvalidRepeatExpiresAt,
    InvalidSchedule,
    PayloadOverLimit,
    PublishForbidden,
)
from messaging.models import InDoubtPolicy, Message, MessageStatus, Occurrence, OccurrenceState, PublishPolicy
from messaging.providers.base import Envelope
from messaging.providers.notifications import AndroidStyle, Notification
from messaging.providers.registry import preview_payload
from messaging.realtime import bus
from messaging.rendering import InvalidHeader, headers_name_os, render
from messaging.schedule import Firing, InvalidWallClock, Series, check_wall_clock, first_wall_clock_time
from messaging.storing import store_new
from messaging.templates import TemplateSnapshot, adorn, smart_message

#: a publishAt this much in the past still means now: clocks differ, requests take time
PAST_TOLERANCE = timedelta(seconds=5)
#: of the channel, while one message is published to it
_MOST_DELETIONS = 5

#: a payload is rendered once per push service: macOS shares APNs, a PushSubscription is a browser whatever its os
RENDERED_OS: dict[PushService, Os] = {
    PushService.FCM: Os.ANDROID,
    PushService.APNS: Os.IOS,
    PushService.WNS: Os.WP,
    PushService.WEBPUSH: Os.WEB,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRequest:
    """One message to publish, complete and checked field by field; built by the REST edge and by the compose form."""

    channel_name: str
    body: object  #: any JSON value, None included
    headers: Mapping[str, str] = field(default_factory=dict)
    publisher_id: str = ""
    subtopic: str = ""
    publish_policy: PublishPolicy = PublishPolicy.BOTH
    is_policy_named: bool = False  #: subscribers are told the policy that was asked for, none where none was
    push_broadcast: OsMask | None = None
    push_singlecast: tuple[str, ...] | None = None  #: never empty
    segment_query: str = ""  #: a where clause that narrows whom the rest means; checked
    template: TemplateSnapshot | None = None  #: body and its headers are smart text
    publish_at: datetime | None = None
    repeat_every: timedelta | None = None
    repeat_expires_at: datetime | None = None
    cron: str = ""  #: wall-clock repeat instead of `repeat_every`; five fields
    cron_zone: str = ""  #: IANA zone of `cron`
    ttl: timedelta | None = None  #: nothing is sent later than this after a firing's due time
    in_doubt: InDoubtPolicy = InDoubtPolicy.RESEND
    requests_per_second: int | None = None

    def target_oses(self) -> tuple[Os, ...] | None:
        """Operating systems that get a push (design.md 6): () none, None every one (named devices only)."""
        if self.publish_policy is PublishPolicy.PUBSUB:
            return ()
        if self.push_broadcast is not None:
            return self.push_broadcast.os_names()
        if self.push_singlecast is not None:
            return None
        if self.segment_query:
            return tuple(Os)
        return headers_name_os(self.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Who publishes: an API key or a person in the console."""

    may_publish: bool
    api_key: ApiKey | None = None
    user: User | None = None


def audience_of(request: PublishRequest, application: Application, channel_pk: int | None) -> AudienceSpec:
    """Whom the request means. A channel that does not exist yet (None) has no devices."""
    return AudienceSpec(
        application_pk=application.pk,
        channel_pk=None if request.push_singlecast is not None else (channel_pk or 0),
        oses=request.target_oses(),
        device_ids=request.push_singlecast,
        segment_query=request.segment_query,
    )


def render_for(
    request: PublishRequest, application: Application, service: PushService, message_id: str
) -> Notification:
    """What a device reached through `service` gets; values that differ between devices as placeholders or defaults.

    Raises InvalidPushHeader.
    """
    if request.template is not None:
        body, headers = smart_message(request.body, request.template, RENDERED_OS[service]).sample()
        request = replace(request, body=body, headers=headers)
    return notification_of(request, application, service, message_id)


def notification_of(
    request: PublishRequest, application: Application, service: PushService, message_id: str
) -> Notification:
    """The notification of a request whose texts are filled in. Raises InvalidPushHeader."""
    try:
        notification = render(
            request.body,
            request.headers,
            RENDERED_OS[service],
            message_id=message_id,
            android_style=AndroidStyle(application.android_payload_style),
        )
    except InvalidHeader as error:
        raise InvalidPushHeader(f"Header {error.header}: {error.reason}.", field=error.header) from error
    return notification if request.template is None else adorn(notification, request.template)


def publish(*, application: Application, request: PublishRequest, publisher: Publisher) -> Message:
    """Store the message and its first occurrence; when this returns inside no transaction, it is committed.

    Raises PublishForbidden, InvalidPublishAt, InvalidRepeatExpiresAt, InvalidPushHeader, PayloadOverLimit.
    """
    if not publisher.may_publish:
        raise PublishForbidden()
    now = database.now() if _names_a_time(request) else None
    if now is not None:
        _check_schedule(request, now)
    _check_payloads(request, application)
    if connection.in_atomic_block:  # a channel deleted meanwhile would show when the caller commits, which is too late
        (channel,) = ensure_channels(application, [request.channel_name])
        return _store(application, channel.pk, request, publisher, now)
    name = channel_name(request.channel_name)
    for _ in range(_MOST_DELETIONS):
        try:
            return _store(application, channel_ids(application.pk, [name])[0], request, publisher, now)
        except IntegrityError:  # the channel was deleted since this process met it
            forget(application.pk, [name])
    return _store(application, channel_ids(application.pk, [name])[0], request, publisher, now)


def _store(
    application: Application, channel_pk: int, request: PublishRequest, publisher: Publisher, now: datetime | None
) -> Message:
    """The message and its first occurrence; `now` None: it is due at once."""
    message = Message(
        application=application,
        author=publisher.user,
        api_key=publisher.api_key,
        channel_id=channel_pk,
        **_columns(request),
    )
    return store_new(message, due=None if now is None else _first_due(request, now))


def _columns(request: PublishRequest) -> dict[str, Any]:
    """What a request says, as columns of `Message`; its channel has one more."""
    return {
        "channel_name": channel_name(request.channel_name),
        "body": request.body,
        "headers": dict(request.headers),
        "publisher_id": request.publisher_id,
        "subtopic": request.subtopic,
        "publish_policy": request.publish_policy,
        "is_policy_named": request.is_policy_named,
        "push_broadcast": request.push_broadcast,
        "push_singlecast": None if request.push_singlecast is None else list(request.push_singlecast),
        "segment_query": request.segment_query,
        "template": None if request.template is None else request.template.to_json(),
        "publish_at": request.publish_at,
        "repeat_every": request.repeat_every,
        "repeat_expires_at": request.repeat_expires_at,
        "cron": request.cron,
        "cron_zone": request.cron_zone,
        "ttl": request.ttl,
        "in_doubt": request.in_doubt,
        "requests_per_second": request.requests_per_second,
    }


def edit(message: Message, request: PublishRequest, *, publisher: Publisher, seen_version: int) -> None:
    """Replace a message that has not begun; `seen_version` is the content version the change was made from.

    Either the old or the new message fires, whole: its occurrence is replaced under the lock a ticker takes to claim
    it. Raises CannotControl when it has begun or somebody else changed it, and what `publish` raises.
    """
    if not publisher.may_publish:
        raise PublishForbidden()
    now = database.now()
    _check_schedule(request, now)
    _check_payloads(request, message.application)
    with transaction.atomic():
        waiting = _lock_waiting(message)
        if waiting is None:
            raise CannotControl("It has begun, is over or was cancelled, so it cannot be changed any more.")
        message.refresh_from_db()
        if message.content_version != seen_version:
            raise CannotControl("Somebody else has changed it since you opened it. Look at their change first.")
        (channel,) = ensure_channels(message.application, [request.channel_name])
        message.channel = channel
        for column, content in _columns(request).items():
            setattr(message, column, content)
        message.content_version += 1
        message.save()
        # a new row: a ticker that waits for the old one finds it gone, and never joins it with the old message
        waiting.delete()
        first = Occurrence.objects.create(message=message, n=1, due_at=_first_due(request, now))
        bus.announce_published(message, first)
        queue.ring_ticker()


def _lock_waiting(message: Message) -> Occurrence | None:
    """The only occurrence, locked, if nothing of the message has begun; waits for a ticker that is claiming it."""
    occurrences = list(message.occurrences.select_for_update())
    if len(occurrences) != 1 or occurrences[0].state != OccurrenceState.SCHEDULED:
        return None
    return occurrences[0]


def request_of(message: Message) -> PublishRequest:
    """The request a stored message came from."""
    return PublishRequest(
        channel_name=message.channel_name,
        body=message.body,
        headers=message.headers,
        publisher_id=message.publisher_id,
        subtopic=message.subtopic,
        publish_policy=PublishPolicy(message.publish_policy),
        is_policy_named=message.is_policy_named,
        push_broadcast=None if message.push_broadcast is None else OsMask(message.push_broadcast),
        push_singlecast=None if message.push_singlecast is None else tuple(message.push_singlecast),
        segment_query=message.segment_query,
        template=None if message.template is None else TemplateSnapshot.from_json(message.template),
        publish_at=message.publish_at,
        repeat_every=message.repeat_every,
        repeat_expires_at=message.repeat_expires_at,
        cron=message.cron,
        cron_zone=message.cron_zone,
        ttl=message.ttl,
        in_doubt=InDoubtPolicy(message.in_doubt),
        requests_per_second=message.requests_per_second,
    )


def series_of(message: Message, first_due: datetime | None = None) -> Series | None:
    """The firings of a repeated message; None when it fires once. `first_due`: of the first one, where it is known."""
    if message.repeat_every is None and not message.cron:
        return None
    return Series(
        first=first_due or message.occurrences.get(n=1, retry_no=0).due_at,
        every=message.repeat_every,
        cron=message.cron,
        zone=message.cron_zone or "UTC",
        expires=message.repeat_expires_at,
    )


def schedule_next(occurrence: Occurrence, series: Series | None) -> None:
    """Store the firing that follows in its series, where there is one."""
    Occurrence.objects.bulk_create([] if series is None else following(occurrence, series))


def following(occurrence: Occurrence, series: Series) -> list[Occurrence]:
    """The firing that follows, to be stored; none at the end of the series."""
    firing = series.after(Firing(occurrence.n, occurrence.due_at))
    return [] if firing is None else [Occurrence(message=occurrence.message, n=firing.n, due_at=firing.due_at)]


def _first_due(request: PublishRequest, now: datetime) -> datetime:
    earliest = max(request.publish_at or now, now)
    if not request.cron:
        return earliest
    return first_wall_clock_time(request.cron, request.cron_zone, earliest - timedelta(seconds=1))


def _names_a_time(request: PublishRequest) -> bool:
    """Whether it takes a clock to check the request, and to know when it is due."""
    return bool(request.publish_at or request.cron or request.repeat_expires_at)


def _check_schedule(request: PublishRequest, now: datetime) -> None:
    if request.publish_at is not None and request.publish_at < now - PAST_TOLERANCE:
        raise InvalidPublishAt("publishAt lies in the past.", field="publishAt")
    if request.cron:
        try:
            check_wall_clock(request.cron, request.cron_zone)
        except InvalidWallClock as error:
            raise InvalidSchedule(str(error), field="cron") from error
    # what fires once may name an end too: SDKs send it without a `repeatEvery` of 0, which they drop
    if request.repeat_expires_at is not None and request.repeat_expires_at <= _first_due(request, now):
        raise InvalidRepeatExpiresAt("repeatExpiresAt must lie after the first publishing.", field="repeatExpiresAt")


def _check_payloads(request: PublishRequest, application: Application) -> None:
    """Refuse what can be known to fail: nothing of it differs between devices."""
    for service in services_of(request):
        envelope = Envelope(message_id=f"message:{'0' * 36}", occurrence_id=0)
        notification = render_for(request, application, service, envelope.message_id)
        preview = preview_payload(service, notification, envelope)
        if preview.size > preview.limit:
            raise PayloadOverLimit(
                f"The {service.label} payload has {preview.size} bytes, {service.label} takes {preview.limit}."
            )


def services_of(request: PublishRequest) -> tuple[PushService, ...]:
    """Push services of the operating systems meant; every one when only named devices decide."""
    oses = request.target_oses()
    if oses is None:
        return tuple(PushService)
    return tuple(dict.fromkeys(NATIVE_PUSH_SERVICE[os] for os in oses))


def cancel(message: Message) -> None:
    """Stop a message: what is scheduled never starts, what is being sent stops within two seconds.

    Devices not yet reached end as `cancelled`, written by the drains. Raises CannotCancel (5040).
    """
    with transaction.atomic():
        occurrences = message.occurrences.filter(closed_at=None)
        # firings before their message, as whoever edits or closes: else they wait for each other in a circle
        list(occurrences.select_for_update().order_by("pk").values_list("pk"))
        cancelled = Message.objects.filter(pk=message.pk, status=MessageStatus.SCHEDULED).update(
            status=MessageStatus.CANCELLED
        )
        if not cancelled:
            raise CannotCancel()
        occurrences.filter(state=OccurrenceState.SCHEDULED).update(
            state=OccurrenceState.CANCELLED, closed_at=database.now()
        )
        occurrences.update(state=OccurrenceState.CANCELLED)
        queue.ring_ticker()
    message.status = MessageStatus.CANCELLED
