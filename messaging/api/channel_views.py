"""Channels over HTTP; they are made by whoever first registers with or publishes to one."""

from __future__ import annotations

from django.http import HttpRequest

from devices import channels
from devices.api_keys import Caller
from messaging.api.publishers import publisher_of


def delete(caller: Caller, request: HttpRequest, name: str) -> None:
    """DELETE channels/<name>, for whoever may publish to it. Raises UnknownChannel, InvalidChannelName."""
    publisher_of(caller, request, name)
    channels.delete_channel(caller.application, name)
