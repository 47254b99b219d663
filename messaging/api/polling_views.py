"""Pub/sub by polling over HTTP: parse, call one step, answer."""

from __future__ import annotations

from django.http import HttpRequest

from devices import timestamps
from devices.api.user_requests import current_user
from devices.api_keys import Caller
from devices.errors import PermissionMissing, PropertyTooLong
from devices.json_input import KIB, read_json_object, to_struct
from devices.permissions import may
from devices.user_models import Operation
from messaging import polling
from messaging.api.shapes import MAX_TEXT, PolledAnswer, PolledMessageAnswer, SubscribeBody, SubscribedAnswer
from messaging.polling import PolledMessage, SubscriptionRequest

_MAX_BODY_BYTES = 64 * KIB


def subscribe(caller: Caller, request: HttpRequest, channel: str) -> SubscribedAnswer:
    """POST <channel>/subscribe."""
    _check_may_subscribe(caller, request, channel)
    wire = to_struct(read_json_object(request, max_bytes=_MAX_BODY_BYTES), SubscribeBody, {})
    for field, text in (("subscriberId", wire.subscriber_id), ("subtopic", wire.subtopic)):
        if text and len(text) > MAX_TEXT:
            raise PropertyTooLong(
                f"Property value exceeds the length limit: {field} takes {MAX_TEXT} characters.", field=field
            )
    subscription = polling.subscribe(
        caller.application,
        SubscriptionRequest(
            channel_name=channel,
            subscriber_id=wire.subscriber_id or "",
            selector=(wire.selector or "").strip(),
            subtopic=wire.subtopic or "",
        ),
    )
    return SubscribedAnswer(str(subscription.subscription_id).upper())


def poll(caller: Caller, request: HttpRequest, channel: str, subscription_id: str) -> PolledAnswer:
    """GET <channel>/<subscriptionId>."""
    _check_may_subscribe(caller, request, channel)
    polled = polling.poll(caller.application, channel, subscription_id)
    return PolledAnswer([_message(entry) for entry in polled])


def _message(polled: PolledMessage) -> PolledMessageAnswer:
    message = polled.message
    return PolledMessageAnswer(
        message_id=message.wire_id,
        data=message.body,
        published_at=timestamps.to_wire(polled.published_at),
        publisher_id=message.publisher_id,
        headers=message.headers,
    )


def _check_may_subscribe(caller: Caller, request: HttpRequest, channel: str) -> None:
    if not may(caller, Operation.SUBSCRIBE, channel, current_user(caller, request)):
        raise PermissionMissing("User does not have the permission to listen to this channel.")
