"""The key of an application's host name: `<subdomain>.<anything>/api/...` names no key, so the host stands for one.

It is a key like any other (permissions, expiry, revocation) but no secret: whoever reaches the host has it, and SDKs
are told it by `info`, since they need it for their live connection. That is why it can be computed again.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from devices.api_keys import CACHE_SECONDS, Permissions, dashed, store_api_key
from devices.errors import WrongApplicationInfo
from devices.models import ApiKey, Application, ClientType

_MAX_CACHED = 10_000
_found: dict[str, tuple[tuple[str, str], float]] = {}


def create_host_key(application: Application, permissions: Permissions) -> ApiKey:
    """Give the application's host a key, in the place of the one it had."""
    pepper_id = next(iter(settings.API_KEY_PEPPERS))
    prefix = secrets.token_hex(4).upper()
    with transaction.atomic():
        ApiKey.objects.filter(application=application, is_for_host=True, revoked_at=None).update(revoked_at=Now())
        api_key = store_api_key(
            ApiKey(application=application, label="Host name", client_type=ClientType.JS, is_for_host=True),
            _key(application, prefix, pepper_id),
            permissions,
        )
    _found.clear()
    return api_key


def key_text(api_key: ApiKey) -> str:
    """The key of a host, as clients send it."""
    return _key(api_key.application, api_key.prefix, api_key.pepper_id)


def credentials_of_host(host: str) -> tuple[str, str]:
    """Application id and key of a Host header. Raises WrongApplicationInfo for a host without a key."""
    subdomain = host.partition(":")[0].partition(".")[0].lower()
    found = _found.get(subdomain)
    if found is None or time.monotonic() - found[1] >= CACHE_SECONDS:
        if len(_found) >= _MAX_CACHED:
            _found.clear()
        found = _found[subdomain] = (_look_up(subdomain), time.monotonic())
    return found[0]


def _look_up(subdomain: str) -> tuple[str, str]:
    api_key = (
        ApiKey.objects.select_related("application")
        .filter(application__subdomain__iexact=subdomain, is_for_host=True, revoked_at=None)
        .first()
    )
    if api_key is None or not subdomain:
        raise WrongApplicationInfo()
    return str(api_key.application.application_id), key_text(api_key)


def _key(application: Application, prefix: str, pepper_id: str) -> str:
    pepper = settings.API_KEY_PEPPERS.get(pepper_id)
    if pepper is None:
        raise WrongApplicationInfo()
    seed = f"host key {application.application_id} {prefix}"
    return dashed(prefix + hmac.digest(pepper, seed.encode(), hashlib.sha256).hex()[:24].upper())
