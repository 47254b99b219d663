"""Register, move, unregister and expire devices: the only writer of registrations and their subscriptions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from django.db import IntegrityError, connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from devices.channels import DEFAULT_CHANNEL, channel_ids, ensure_channels, forget
from devices.errors import UnknownDevice, UnknownDeviceToCancel
from devices.models import Application, DeviceRegistration, RegistrationState, Subscription
from devices.push_services import Os, PushService

__all__ = [
    "GoneToken",
    "Registered",
    "RegistrationRequest",
    "disable_gone",
    "ensure_channels",
    "expire_due",
    "get",
    "register",
    "unregister",
]

TOKEN_MOVED = "token moved"  # noqa: S105 (a reason, no secret)
UNREGISTERED = "unregistered"
EXPIRED = "expired"

#: devices that swap tokens in the same instant need two rounds; more means something else is wrong
_MOST_ROUNDS = 5
_EXPIRE_AT_ONCE = 1_000

_UPSERT = """
    INSERT INTO devices_deviceregistration AS r (
        registration_id, application_id, device_id, token, token_digest, os, os_version, push_service, expiration,
        user_id, locale, time_zone, attributes, state, gone_reason
    ) VALUES (
        gen_random_uuid(), %(application)s, %(device_id)s, %(token)s, %(token_digest)s, %(os)s, %(os_version)s,
        %(push_service)s, %(expiration)s, '', '', '', '{}', 'active', ''
    )
    ON CONFLICT (application_id, device_id) DO UPDATE SET
        token = excluded.token, token_digest = excluded.token_digest, os = excluded.os,
        os_version = excluded.os_version, push_service = excluded.push_service, expiration = excluded.expiration,
        token_set_at = CASE WHEN r.token_digest = excluded.token_digest THEN r.token_set_at ELSE now() END,
        state = 'active', gone_reason = '', gone_at = NULL, last_seen_at = now()
    RETURNING registration_id
"""
#: a statement of its own: it must see what a parallel call subscribed while the upsert waited for that call
_SUBSCRIBE = """
    WITH device AS (
        SELECT id FROM devices_deviceregistration WHERE application_id = %(application)s AND device_id = %(device_id)s
    ), dropped AS (
        DELETE FROM devices_subscription s USING device
        WHERE s.registration_id = device.id AND s.channel_id <> ALL(%(channels)s::bigint[])
    )
    INSERT INTO devices_subscription (channel_id, registration_id)
    SELECT wanted.id, device.id FROM device, unnest(%(channels)s::bigint[]) AS wanted(id)
    ON CONFLICT (channel_id, registration_id) DO NOTHING
"""
#: locks in the order of ids, as every writer of several registrations does: no two can wait for each other
_TAKE_FROM_HOLDER = """
    WITH involved AS (
        SELECT id, device_id FROM devices_deviceregistration
        WHERE application_id = %(application)s
        AND (device_id = %(device_id)s OR (state = 'active' AND token_digest = %(token_digest)s))
        ORDER BY id FOR UPDATE
    )
    UPDATE devices_deviceregistration r SET state = 'gone', gone_reason = %(reason)s, gone_at = now()
    FROM involved WHERE r.id = involved.id AND involved.device_id <> %(device_id)s
"""
_DISABLE_GONE = """
    WITH dead AS (
        SELECT r.id, gone.reason
        FROM devices_deviceregistration r
        JOIN unnest(%s::bigint[], %s::bytea[], %s::text[], %s::timestamptz[])
            AS gone(id, token_digest, reason, since) ON r.id = gone.id
        WHERE r.state = 'active' AND r.token_digest = gone.token_digest
        AND (gone.since IS NULL OR r.token_set_at <= gone.since)
        ORDER BY r.id FOR UPDATE OF r
    )
    UPDATE devices_deviceregistration r SET state = 'gone', gone_reason = dead.reason, gone_at = now()
    FROM dead WHERE r.id = dead.id
"""
_EXPIRE_DUE = """
    WITH due AS (
        SELECT id FROM devices_deviceregistration WHERE expiration <= now() AND state = 'active'
        ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
    )
    UPDATE devices_deviceregistration r SET state = 'gone', gone_reason = %s, gone_at = now()
    FROM due WHERE r.id = due.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationRequest:
    """One device to register, complete and checked field by field."""

    device_id: str
    token: str  #: canonical, as `devices.tokens` gives it
    os: Os
    push_service: PushService
    os_version: str = ""
    channel_names: tuple[str, ...] = (DEFAULT_CHANNEL,)  #: as stored, each once, never empty
    expiration: datetime | None = None


@dataclass(frozen=True, slots=True)
class Registered:
    """A registration and the channels it listens to."""

    registration_id: UUID
    channel_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GoneToken:
    """A token found dead."""

    registration_id: int  #: primary key
    token_used: str  #: the token the push went to
    reason: str  #: the push service's word, or ours
    gone_since: datetime | None  #: APNs 410: dead since then; a token set later is alive


def token_digest(token: str) -> bytes:
    """What tokens are compared and indexed by."""
    return hashlib.sha256(token.encode()).digest()


def register(application: Application, request: RegistrationRequest) -> Registered:
    """Store the device, or renew what is stored of it; it listens to the channels named now and to no other.

    A token that another device held moves: that device's registration becomes gone.
    """
    values = _values(application, request)
    try:
        with _savepoint():
            return Registered(_upsert(values), request.channel_names)
    except IntegrityError:
        # another device holds the token, or a channel was deleted since this process met it
        forget(application.pk, request.channel_names)
    return Registered(_register_moving_token(application, request), request.channel_names)


def _register_moving_token(application: Application, request: RegistrationRequest) -> UUID:
    """Take the token from whoever holds it first; again when yet another device takes it in between."""
    failure = IntegrityError()
    for _ in range(_MOST_ROUNDS):
        values = _values(application, request)
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute(_TAKE_FROM_HOLDER, {**values, "reason": TOKEN_MOVED})
                return _upsert(values)
        except IntegrityError as error:
            forget(application.pk, request.channel_names)
            failure = error
    raise failure


def _values(application: Application, request: RegistrationRequest) -> dict[str, Any]:
    return {
        "application": application.pk,
        "device_id": request.device_id,
        "token": request.token,
        "token_digest": token_digest(request.token),
        "os": request.os.value,
        "os_version": request.os_version,
        "push_service": request.push_service.value,
        "expiration": request.expiration,
        "channels": channel_ids(application.pk, request.channel_names),
    }


def _savepoint() -> AbstractContextManager[object]:
    """An error inside a transaction of the caller's must not spoil it; without one, the pipeline is a transaction."""
    return transaction.atomic() if connection.in_atomic_block else nullcontext()


def _upsert(values: dict[str, Any]) -> UUID:
    """Both statements in one round trip and one commit, planned once per connection."""
    with connection.cursor() as cursor:
        native: psycopg.Connection[tuple[Any, ...]] = cursor.connection
        with connection.wrap_database_errors, native.pipeline():
            upserted = psycopg.Cursor(native).execute(_UPSERT, values, prepare=True)
            psycopg.Cursor(native).execute(_SUBSCRIBE, values, prepare=True)
        row = upserted.fetchone()
    assert row is not None
    registration_id: UUID = row[0]
    return registration_id


def _reachable(application: Application, device_id: str) -> QuerySet[DeviceRegistration]:
    """The device's registration while it counts: active and, by the database's clock, unexpired."""
    return DeviceRegistration.objects.filter(
        Q(expiration=None) | Q(expiration__gt=Now()),
        application=application,
        device_id=device_id,
        state=RegistrationState.ACTIVE,
    )


def get(application: Application, device_id: str) -> tuple[DeviceRegistration, list[str]]:
    """The device's registration and its channels by name. Raises UnknownDevice (5000)."""
    registration = _reachable(application, device_id).first()
    if registration is None:
        raise UnknownDevice()
    return registration, list(registration.channels.values_list("name", flat=True))


def unregister(application: Application, device_id: str) -> None:
    """Nothing is sent to the device any more. Raises UnknownDeviceToCancel (5001)."""
    with transaction.atomic():
        unregistered = _reachable(application, device_id).update(
            state=RegistrationState.GONE, gone_reason=UNREGISTERED, gone_at=Now()
        )
        if not unregistered:
            raise UnknownDeviceToCancel()
        Subscription.objects.filter(registration__application=application, registration__device_id=device_id).delete()


def disable_gone(gone: Sequence[GoneToken]) -> int:
    """Mark registrations whose token is dead; gives how many were.

    Compare-and-set: one that has another token by now, or whose token was set after `gone_since`, stays.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _DISABLE_GONE,
            [
                [entry.registration_id for entry in gone],
                [token_digest(entry.token_used) for entry in gone],
                [entry.reason[:64] for entry in gone],
                [entry.gone_since for entry in gone],
            ],
        )
        return int(cursor.rowcount)


def expire_due() -> int:
    """Mark registrations whose expiration has passed; gives how many were. Audiences leave them out even before."""
    expired = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(_EXPIRE_DUE, [_EXPIRE_AT_ONCE, EXPIRED])
            marked = int(cursor.rowcount)
            expired += marked
            if marked < _EXPIRE_AT_ONCE:
                return expired
