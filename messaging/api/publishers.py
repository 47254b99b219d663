"""Who publishes by an API call: the key, and the roles of whoever is logged in."""

from __future__ import annotations

from django.http import HttpRequest

from devices.api.user_requests import current_user
from devices.api_keys import Caller
from devices.permissions import may
from devices.user_models import Operation
from messaging.errors import PublishForbidden
from messaging.publishing import Publisher


def publisher_of(caller: Caller, request: HttpRequest, channel_name: str) -> Publisher:
    """Before a body is read: a key shipped in an app must not make us parse 10 MB.

    Raises PublishForbidden (5007), DeadUserToken (3064), UserDisabled (3090).
    """
    if not may(caller, Operation.PUBLISH, channel_name, current_user(caller, request)):
        raise PublishForbidden()
    return Publisher(may_publish=True, api_key=caller.api_key)
