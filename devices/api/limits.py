"""The limits of abuse: what one address may call how often. Counted in the memory of each web process.

Each of CLARION_WEB_WORKERS processes lets its share through: many clients of one address together meet the rate that
was set; a single kept connection, which stays in one process, meets the share. `X-Forwarded-For` is not read here:
`console.middleware.ProxiedClientAddress` puts the client in REMOTE_ADDR where a proxy is known to stand in front.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from enum import StrEnum
from functools import wraps

from django.conf import settings
from django.http import HttpRequest

from devices.addresses import network_of
from devices.api_keys import Caller, is_known
from devices.errors import TooManyRequests
from devices.rates import Buckets


class Limit(StrEnum):
    """What is counted; the words stand in the message."""

    REGISTRATIONS = "device registrations"
    FAILURES = "failed logins and wrong keys"
    LOGINS = "logins"
    ACCOUNTS = "new users"
    SERVER_CALLS = "calls"


#: the caller, the request and what the address captured
ApiFunction = Callable[..., object]
_buckets: dict[Limit, Buckets] = {}


def start(clock: Callable[[], float] = time.monotonic) -> None:
    """Begin to count anew, as settings.RATES say."""
    rates = {limit: settings.RATES[limit.name] for limit in Limit}
    _buckets.clear()
    _buckets.update({limit: Buckets(rate.share(settings.WEB_WORKERS), clock) for limit, rate in rates.items() if rate})


def take(limit: Limit, request: HttpRequest) -> None:
    """Count one. Raises TooManyRequests (5906)."""
    buckets = _buckets.get(limit)
    if buckets is not None and (wait_s := buckets.take(client_of(request))):
        raise _refusal(limit, wait_s)


def refuse_if_spent(limit: Limit, request: HttpRequest) -> None:
    """Count nothing. Raises TooManyRequests (5906) where the next would be one too many."""
    buckets = _buckets.get(limit)
    if buckets is not None and (wait_s := buckets.wait_s(client_of(request))):
        raise _refusal(limit, wait_s)


def refuse_guessing(request: HttpRequest, application_id: str, api_key: str) -> None:
    """Look no key up for an address that has guessed too often, but for keys that were right before.

    Behind a carrier's address one broken app must not shut out the others. Raises TooManyRequests (5906).
    """
    buckets = _buckets.get(Limit.FAILURES)
    if buckets is not None and (wait_s := buckets.wait_s(client_of(request))) and not is_known(application_id, api_key):
        raise _refusal(Limit.FAILURES, wait_s)


def limited(limit: Limit, function: ApiFunction) -> ApiFunction:
    """The function, counted where the key is one of those that ship in apps."""

    @wraps(function)
    def counted(caller: Caller, request: HttpRequest, **captured: str) -> object:
        if not caller.api_key.may_publish:
            take(limit, request)
        return function(caller, request, **captured)

    return counted


def client_of(request: HttpRequest) -> str:
    """Whose calls are counted together: an IPv4 address, or the /64 that one IPv6 customer has."""
    return network_of(request.META.get("REMOTE_ADDR", ""))


def _refusal(limit: Limit, wait_s: float) -> TooManyRequests:
    seconds = max(1, math.ceil(wait_s))
    text = _buckets[limit].rate.text
    return TooManyRequests(
        f"Too many {limit} from this address: {text} is the limit. Try again in {seconds} s.", retry_after_s=seconds
    )


start()
