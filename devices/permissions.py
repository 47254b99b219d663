"""Who may publish and listen: the word of the caller's roles, and where they say nothing, of the API key.

A channel's word goes before the application's, and at the same place a denial before a grant. A user is judged by
their own roles and the built-in ones; every caller by the built-in role of the key's client type (contract.md 1, 7).
"""

from __future__ import annotations

from enum import Enum

from django.db.models import Q

from devices.api_keys import Caller
from devices.channels import DEFAULT_CHANNEL
from devices.models import ClientType
from devices.user_models import AppUser, Decision, Operation, RolePermission


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
    """What the caller's roles say, each with whether it says so of the channel; one query."""
    login = BuiltInRole.NOT_AUTHENTICATED if user is None else BuiltInRole.AUTHENTICATED
    built_in = [login.value, _OF_CLIENT[ClientType(caller.api_key.client_type)].value]
    roles = Q(role__name__in=built_in) if user is None else Q(role__name__in=built_in) | Q(role__members=user)
    name = DEFAULT_CHANNEL if channel_name.lower() == DEFAULT_CHANNEL else channel_name
    rows = RolePermission.objects.filter(
        roles,
        Q(channel=None) | Q(channel__name=name),
        role__application=caller.application,
        operation=operation,
    )
    return [(channel is not None, Decision(decision)) for channel, decision in rows.values_list("channel", "decision")]
