"""Where live subscribers connect: what an SDK asks for before anything else."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest

from devices import host_keys
from devices.api.user_requests import current_user
from devices.api_keys import Caller


def info(caller: Caller, request: HttpRequest) -> dict[str, object]:
    """GET info, sent by SDK 7 and 8 on `initApp` (contract.md 1). Without a list of loggers its Logging complains.

    Raises DeadUserToken (3064), at which the SDK forgets its token and asks again.
    """
    current_user(caller, request)
    return {
        "appId": str(caller.application.application_id).upper(),
        "apiKey": _key_of(request) or host_keys.key_text(caller.api_key),
        "rtURL": settings.RT_URL,
        "loggers": [],
    }


def lookup(caller: Caller, request: HttpRequest) -> str:
    """GET rt/lookup, sent by SDK 6 and Swift: the same address as a JSON string. Raises DeadUserToken (3064)."""
    current_user(caller, request)
    return settings.RT_URL


def _key_of(request: HttpRequest) -> str:
    """The key as the caller sent it: only its hash is stored."""
    match = request.resolver_match
    return "" if match is None else str(match.kwargs.get("api_key", ""))
