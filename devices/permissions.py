"""Who may publish and listen: the word of the caller's roles, and where they say nothing, of the API key.

A channel's word goes before the application's, and at the same place a denial before a grant. A user is judged by
their own roles and the built-in ones; every caller by the built-in role of the key's client type (contract.md 1, 7).
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from devices.api_keys import Caller
from devices.channels import DEFAULT_CHANNEL
from devices.models import ClientType
from devices.prepared import fetch_all
from devices.user_models import AppUser, Decision, Operation


class BuiltInRole(Enum):
    """Roles nobody is put into."""

    AUTHENTICATED = "AuthenticatedUser"
    NOT_AUTHENTICATED = "NotAuthenticatedUser"
    REST = "RestUser"
    JS = "JSUser"
    IOS = "IOSUser"
    ANDROID = "AndroidUser"
    DOT_NET = "DotNetUser"


_OF_CLIENT = {
    ClientType.REST: BuiltInRole.REST,
    ClientType.JS: BuiltInRole.JS,
    ClientType.IOS: BuiltInRole.IOS,
    ClientType.ANDROID: BuiltInRole.ANDROID,
    ClientType.WP: BuiltInRole.DOT_NET,
}

#: as text: the ORM takes longer to write it than the server to answer it
_DECISIONS = """
    SELECT p.channel_id IS NOT NULL, p.decision
    FROM devices_role r JOIN devices_rolepermission p ON p.role_id = r.id
    LEFT JOIN devices_channel c ON c.id = p.channel_id
    WHERE r.application_id = %(application)s AND p.operation = %(operation)s
    AND (p.channel_id IS NULL OR c.name = %(channel)s)
    AND (r.name = ANY(%(built_in)s)
        OR r.id IN (SELECT m.role_id FROM devices_appuser_roles m WHERE m.appuser_id = %(user)s))
"""


def may(caller: Caller, operation: Operation, channel_name: str, user: AppUser | None) -> bool:
    """Whether the caller, with this user logged in, may do that in the channel; "" asks for the application alone."""
    decisions = _decisions(caller, operation, channel_name, user)
    for of_channel in (True, False):
        said = {decision for is_of_channel, decision in decisions if is_of_channel is of_channel}
        if said:
            return Decision.DENY not in said
    key = caller.api_key
    return key.may_publish if operation is Operation.PUBLISH else key.may_subscribe


def _decisions(
    caller: Caller, operation: Operation, channel_name: str, user: AppUser | None
) -> list[tuple[bool, Decision]]:
    """What the caller's roles say, each with whether it says so of the channel; one query, in every publish call."""
    login = BuiltInRole.NOT_AUTHENTICATED if user is None else BuiltInRole.AUTHENTICATED
    asked: dict[str, Any] = {
        "application": caller.application.pk,
        "operation": operation.value,
        "channel": DEFAULT_CHANNEL if channel_name.lower() == DEFAULT_CHANNEL else channel_name,
        "built_in": [login.value, _OF_CLIENT[ClientType(caller.api_key.client_type)].value],
        "user": None if user is None else user.pk,
    }
    return [(is_of_channel, Decision(decision)) for is_of_channel, decision in fetch_all(_DECISIONS, asked)]
