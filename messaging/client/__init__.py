"""A Python client of the REST API, synchronous and asynchronous. It needs the standard library alone: copy the folder.

    with Messaging("https://push.example.org", application_id, api_key) as messaging:
        status = messaging.publish("Tea is ready", delivery_options=DeliveryOptions(push_singlecast=["my-phone"]))

Names and shapes are those of the Backendless SDKs, in Python's spelling.
"""

from __future__ import annotations

from messaging.client.asynchronous import AsyncMessaging
from messaging.client.errors import (
    CannotCancel,
    ClarionError,
    ConnectionFailed,
    DeadUserToken,
    InvalidExpiration,
    InvalidPublishAt,
    InvalidRepeatExpiresAt,
    PropertyTooLong,
    PublishForbidden,
    ServiceUnavailable,
    TooManyRequests,
    UnknownChannel,
    UnknownDevice,
    UnknownPushTemplate,
    WrongApplicationInfo,
)
from messaging.client.synchronous import Messaging
from messaging.client.values import (
    DeliveryOptions,
    DeviceRegistration,
    MessageStatus,
    PublishOptions,
    PublishPolicy,
    PublishStatus,
    PushBroadcast,
)

__all__ = [
    "AsyncMessaging",
    "CannotCancel",
    "ClarionError",
    "ConnectionFailed",
    "DeadUserToken",
    "DeliveryOptions",
    "DeviceRegistration",
    "InvalidExpiration",
    "InvalidPublishAt",
    "InvalidRepeatExpiresAt",
    "MessageStatus",
    "Messaging",
    "PropertyTooLong",
    "PublishForbidden",
    "PublishOptions",
    "PublishPolicy",
    "PublishStatus",
    "PushBroadcast",
    "ServiceUnavailable",
    "TooManyRequests",
    "UnknownChannel",
    "UnknownDevice",
    "UnknownPushTemplate",
    "WrongApplicationInfo",
]
