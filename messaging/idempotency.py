"""Publish once under a key of the caller's choice, however often the call is repeated (reliability.md 2.6).

The key is written in the transaction that writes the message: there is never one without the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from devices.models import Application
from messaging.api_models import IdempotencyKey
from messaging.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from messaging.models import Message

REMEMBERED_FOR = timedelta(days=30)

_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('idempotency ' || %s, %s))"


@dataclass(frozen=True, slots=True)
class Once:
    """The message of a key, and whether an earlier call published it."""

    message: Message
    is_replayed: bool


def publish_once(application: Application, key: str, request_digest: bytes, publish: Callable[[], Message]) -> Once:
    """Publish, or give the message that was published under the key. A refused publish is not remembered.

    Raises IdempotencyKeyReused for another request under the key, IdempotencyKeyInUse while the first is not done.
    """
    replayed = _replayed(application, key, request_digest)  # without the lock: replays do not get in each other's way
    if replayed is not None:
        return replayed
    with transaction.atomic():
        _lock(application, key)
        replayed = _replayed(application, key, request_digest)
        if replayed is not None:
            return replayed
        IdempotencyKey.objects.filter(application=application, key=key).delete()  # its time is over
        message = publish()
        IdempotencyKey.objects.create(application=application, key=key, request_digest=request_digest, message=message)
    return Once(message, is_replayed=False)


def _replayed(application: Application, key: str, request_digest: bytes) -> Once | None:
    """What was published under the key. Raises IdempotencyKeyReused."""
    kept = IdempotencyKey.objects.filter(application=application, key=key, created_at__gte=_forgotten())
    known = kept.select_related("message").first()
    if known is None:
        return None
    if bytes(known.request_digest) != request_digest:
        raise IdempotencyKeyReused()
    return Once(known.message, is_replayed=True)


def forget_old_keys() -> None:
    """Remove keys whose time is over."""
    IdempotencyKey.objects.filter(created_at__lt=_forgotten()).delete()


def _forgotten() -> CombinedExpression:
    return Now() - REMEMBERED_FOR


def _lock(application: Application, key: str) -> None:
    """Until the transaction ends. Waiting instead would hold a web worker for as long as the other call takes."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [key, application.pk])
        (is_ours,) = cursor.fetchone()
    if not is_ours:
        raise IdempotencyKeyInUse()
