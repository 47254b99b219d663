"""Pub/sub by polling over HTTP: parse, call one step, answer."""

from __future__ import annotations

import msgspec
from django.http import HttpRequest

from devices import timestamps
from devices.api.user_requests import current_user
from devices.api_keys import Caller
from devices.errors import PermissionMissing, PropertyTooLong
from devices.json_input import KIB, read_json_object, to_struct
from devices.permissions import may
from devices.user_models import Operation
from messaging import polling
from messaging.polling import PolledMessage, SubscriptionRequest

_MAX_BODY_BYTES = 64 * KIB
_MAX_TEXT = 255


class SubscribeBody(msgspec.Struct, rename="camel"):
    """docs/rest/pubsub_subscribe_for_all_messages and ..._for_filtered_message."""

    subscriber_id: str | None = None
    selector: str | None = None
    subtopic: str | None = None


def subscribe(caller: Caller, request: HttpRequest, channel: str) -> dict[str, object]:
    """POST <channel>/subscribe."""
    _check_may_subscribe(caller, request, channel)
    wire = to_struct(read_json_object(request, max_bytes=_MAX_BODY_BYTES), SubscribeBody, {})
    for field, text in (("subscriberId", wire.subscriber_id), ("subtopic", wire.subtopic)):
        if text and len(text) > _MAX_TEXT:
            raise PropertyTooLong(
                f"Property value exceeds the length limit: {field} takes {_MAX_TEXT} characters.", field=field
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
    return {"subscriptionId": str(subscription.subscription_id).upper()}


def poll(caller: Caller, request: HttpRequest, channel: str, subscription_id: str) -> dict[str, object]:
    """GET <channel>/<subscriptionId>."""
    _check_may_subscribe(caller, request, channel)
    polled = polling.poll(caller.application, channel, subscription_id)
    return {"messages": [_message(entry) for entry in polled]}


def _message(polled: PolledMessage) -> dict[str, object]:
    """docs/rest/pubsub_retrieve_messages; the publisher and headers where there are any."""
    message = polled.message
    optional = {"publisherId": message.publisher_id, "headers": message.headers}
    return {
        "messageId": message.wire_id,
        "data": message.body,
        "publishedAt": timestamps.to_wire(polled.published_at),
        **{name: value for name, value in optional.items() if value},
    }


def _check_may_subscribe(caller: Caller, request: HttpRequest, channel: str) -> None:
    if not may(caller, Operation.SUBSCRIBE, channel, current_user(caller, request)):
        raise PermissionMissing("User does not have the permission to listen to this channel.")
