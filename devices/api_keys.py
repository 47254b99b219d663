"""API keys: made once, stored as a keyed hash, recognised within microseconds, revoked within five seconds."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from devices.errors import WrongApplicationInfo
from devices.models import ApiKey, Application, ClientType

#: other processes learn of a revocation when their entry has grown this old
CACHE_SECONDS = 4.0
_MAX_CACHED = 10_000
_USE_IS_NOTED_EVERY = timedelta(minutes=1)
#: stands for an application id that is no UUID, so that such a call costs the same query as any other
_NO_APPLICATION = uuid.UUID(int=0)
_UUID_LENGTH = 36


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key opened the request: what it may do and in which application."""

    application: Application
    api_key: ApiKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """What a key may do."""

    may_register: bool = True
    may_publish: bool = False
    may_read: bool = True
    may_subscribe: bool = True


_callers: dict[tuple[str, bytes], tuple[Caller, float]] = {}


def new_key() -> str:
    """128 random bits that look like the hosted original's keys: upper-case hex, dashed as a UUID."""
    return dashed(secrets.token_hex(16).upper())


def dashed(digits: str) -> str:
    """32 digits as a UUID is written."""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def create_api_key(
    application: Application, label: str, client_type: ClientType, permissions: Permissions
) -> tuple[ApiKey, str]:
    """Store a new key and give it with its row; it cannot be shown again."""
    key = new_key()
    return store_api_key(ApiKey(application=application, label=label, client_type=client_type), key, permissions), key


def store_api_key(api_key: ApiKey, key: str, permissions: Permissions) -> ApiKey:
    """Store the row of a new key."""
    pepper_id, pepper = next(iter(settings.API_KEY_PEPPERS.items()))
    api_key.prefix, api_key.digest, api_key.pepper_id = key[:8], _digest(pepper, key), pepper_id
    api_key.may_register, api_key.may_publish = permissions.may_register, permissions.may_publish
    api_key.may_read, api_key.may_subscribe = permissions.may_read, permissions.may_subscribe
    api_key.save(force_insert=True)
    return api_key


def revoke(api_key: ApiKey) -> None:
    """Refuse the key from now on: here at once, in other processes within five seconds."""
    ApiKey.objects.filter(pk=api_key.pk, revoked_at=None).update(revoked_at=Now())
    for entry, (caller, _) in list(_callers.items()):
        if caller.api_key.pk == api_key.pk:
            _callers.pop(entry, None)


def authenticate(application_id: str, key: str) -> Caller:
    """Who calls. Unknown application, wrong, expired and revoked key alike raise WrongApplicationInfo (2002)."""
    digests = [_digest(pepper, key) for pepper in settings.API_KEY_PEPPERS.values()]
    entry = (application_id.lower(), digests[0])
    cached = _callers.get(entry)
    if cached is not None and time.monotonic() - cached[1] < CACHE_SECONDS:
        caller = cached[0]
    else:
        caller = _look_up(application_id, digests)
        _remember(entry, caller)
    _refuse_expired(caller.api_key)
    return caller


def is_known(application_id: str, key: str) -> bool:
    """Whether the key was right in this process before, as far as it remembers; it may have been revoked since."""
    pepper = next(iter(settings.API_KEY_PEPPERS.values()))
    return (application_id.lower(), _digest(pepper, key)) in _callers


def forget_callers() -> None:
    """Look every key up again next time."""
    _callers.clear()


def _digest(pepper: bytes, key: str) -> bytes:
    return hmac.digest(pepper, key.encode(errors="replace"), hashlib.sha256)


def _look_up(application_id: str, digests: list[bytes]) -> Caller:
    """One query whatever is wrong: nothing tells an unknown application from a wrong key."""
    api_key = (
        ApiKey.objects.select_related("application")
        .filter(digest__in=digests, application__application_id=_to_uuid(application_id), revoked_at=None)
        .first()
    )
    if api_key is None or not any(hmac.compare_digest(bytes(api_key.digest), digest) for digest in digests):
        raise WrongApplicationInfo()
    _note_use(api_key)
    return Caller(api_key.application, api_key)


def _to_uuid(application_id: str) -> uuid.UUID:
    if len(application_id) != _UUID_LENGTH:
        return _NO_APPLICATION  # uuid.UUID skips any number of hyphens: a name of megabytes would be remembered
    try:
        return uuid.UUID(application_id)
    except ValueError:
        return _NO_APPLICATION


def _note_use(api_key: ApiKey) -> None:
    before = datetime.now(UTC) - _USE_IS_NOTED_EVERY
    if api_key.last_used_at is None or api_key.last_used_at < before:
        stale = ApiKey.objects.filter(Q(last_used_at=None) | Q(last_used_at__lt=before), pk=api_key.pk)
        stale.update(last_used_at=Now())


def _remember(entry: tuple[str, bytes], caller: Caller) -> None:
    if len(_callers) >= _MAX_CACHED:
        forget_callers()
    _callers[entry] = (caller, time.monotonic())


def _refuse_expired(api_key: ApiKey) -> None:
    if api_key.expires_at is not None and api_key.expires_at <= datetime.now(UTC):
        raise WrongApplicationInfo()
