"""Pub/sub by polling, as old REST clients do it: messages of the last 60 seconds, each given once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from devices.channels import channel_name, ensure_channels
from devices.conditions import InvalidCondition
from devices.models import Application
from messaging.api_models import PollingSubscription
from messaging.errors import UnknownSubscription
from messaging.models import Message, Occurrence, OccurrenceState, PublishPolicy
from messaging.realtime.errors import InvalidSelector
from messaging.realtime.selectors import Predicate, predicate_of

#: docs/rest/pubsub_retrieve_messages
MESSAGES_LAST = timedelta(seconds=60)
#: nobody has asked for this long: the subscription is forgotten
SUBSCRIPTIONS_LAST = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRequest:
    """What somebody wants to hear."""

    channel_name: str
    subscriber_id: str = ""
    selector: str = ""
    subtopic: str = ""  #: dotted words; a last word `*` takes everything below


@dataclass(frozen=True, slots=True)
class PolledMessage:
    """A message and when it went out."""

    message: Message
    published_at: datetime


def subscribe(application: Application, request: SubscriptionRequest) -> PollingSubscription:
    """A new subscription; messages from now on. Raises InvalidSelector, InvalidChannelName."""
    if request.selector:
        _predicate(request.selector)
    with transaction.atomic():  # in which nobody deletes the channel
        (channel,) = ensure_channels(application, [request.channel_name])
        return PollingSubscription.objects.create(
            channel=channel,
            subscriber_id=request.subscriber_id,
            selector=request.selector,
            subtopic=request.subtopic,
        )


def poll(application: Application, channel: str, subscription_id: str) -> list[PolledMessage]:
    """What went out since the last poll, oldest first. Raises UnknownSubscription, InvalidSelector."""
    with transaction.atomic():
        # the lock: two polls at the same time must not both get a message
        subscription = (
            PollingSubscription.objects.select_for_update()
            .filter(
                channel__application=application,
                channel__name=channel_name(channel),
                subscription_id=_uuid(subscription_id),
            )
            .first()
        )
        if subscription is None:
            raise UnknownSubscription()
        recent = _recent(subscription)
        PollingSubscription.objects.filter(pk=subscription.pk).update(
            given=[occurrence.pk for occurrence in recent], polled_at=Now()
        )
    given = set(subscription.given)
    return [
        PolledMessage(occurrence.message, occurrence.due_at)
        for occurrence in recent
        if occurrence.pk not in given and _is_wanted(subscription, occurrence.message)
    ]


def forget_unused() -> None:
    """Remove subscriptions that nobody asks for any more."""
    PollingSubscription.objects.filter(polled_at__lt=Now() - SUBSCRIPTIONS_LAST).delete()


def _recent(subscription: PollingSubscription) -> list[Occurrence]:
    """Firings of the last minute in the channel since the subscription began.

    One whose pushes were skipped, because those of the firing before were not done, is news all the same.
    """
    fired = (
        Occurrence.objects.select_related("message")
        .annotate(fired_at=Coalesce("claimed_at", "closed_at"))
        .filter(
            Q(claimed_at__isnull=False) | Q(state=OccurrenceState.SKIPPED, skip_reason="overlap"),
            message__channel=subscription.channel_id,
            fired_at__gt=Now() - MESSAGES_LAST,
            fired_at__gte=subscription.created_at,
            retry_no=0,  # sending again to failed devices is no news to subscribers
        )
        .exclude(message__publish_policy=PublishPolicy.PUSH)
    )
    return list(fired.order_by("fired_at", "id"))


def _is_wanted(subscription: PollingSubscription, message: Message) -> bool:
    if subscription.subtopic and not _covers(subscription.subtopic, message.subtopic):
        return False
    return not subscription.selector or _predicate(subscription.selector)(message.headers)


def _predicate(selector: str) -> Predicate:
    """Also of a stored one: rules may have become stricter since. Raises InvalidSelector."""
    try:
        return predicate_of(selector)
    except InvalidCondition as error:
        raise InvalidSelector(f"selector, character {error.position}: {error.reason}.", field="selector") from error


def _covers(mask: str, subtopic: str) -> bool:
    """`stocks.*` covers `stocks.us` and `stocks.us.nyse`."""
    if mask.endswith("*"):
        return subtopic.startswith(mask[:-1])
    return subtopic == mask


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise UnknownSubscription() from error
