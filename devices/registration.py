"""Register, move, unregister and expire devices: the only writer of registrations and their subscriptions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any
from uuid import UUID, uuid4

import msgspec
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from psycopg.errors import DeadlockDetected

from devices.channels import DEFAULT_CHANNEL, channel_ids, ensure_channels, forget
from devices.errors import UnknownDevice, UnknownDeviceToCancel
from devices.group_commit import PATIENCE_S, GroupCommit
from devices.models import Application, DeviceRegistration, RegistrationState, Subscription
from devices.prepared import fetch_all
from devices.push_services import Os, PushService

__all__ = [
    "DeviceFacts",
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

UNREGISTERED = "unregistered"
EXPIRED = "expired"

_EXPIRE_AT_ONCE = 1_000

#: two new devices with one token need two rounds; this many means something else is wrong
_MOST_ROUNDS = 5

#: what goes into one statement: as many as the web process has threads, and then some
_MOST_TOGETHER = 32

#: Half of what callers wait for a group before they go alone: a group that hangs and goes on later leaves a device be
#: that was stored in the meantime. That holds as long as the clocks of web and database agree to this.
_FRESH = timedelta(seconds=PATIENCE_S / 2)

#: A function of migration 0012: upsert and subscribe in one commit. Gives NULL in the place of a device, and does not
#: change it, where it is known with another token (or was gone) and that is not allowed. In a hurry it fails rather
#: than wait a quarter of a second for somebody who holds one of the devices, and leaves out what is newer than itself.
_REGISTER = "SELECT devices_register(%(wanted)s::json, %(may_change_token)s, %(is_hurried)s)"
#: First whoever sets the same device or token, then the rows concerned in the order of ids: nobody waits in a circle,
#: and the snapshot that looks for the token's holder is younger than the locks.
_LOCK_BOTH = """
    SELECT pg_advisory_xact_lock(key) FROM (
        SELECT hashtextextended(name, %(application)s) AS key
        FROM unnest(ARRAY[%(device_id)s, %(token)s]) AS name ORDER BY key
    ) AS keys
"""
_TAKE_FROM_HOLDER = """
    WITH involved AS (
        SELECT id, device_id FROM devices_deviceregistration
        WHERE application_id = %(application)s
        AND (device_id = %(device_id)s OR (token_digest = %(token_digest)s AND state = 'active'))
        ORDER BY id FOR UPDATE
    )
    UPDATE devices_deviceregistration r SET state = 'gone', gone_reason = 'token moved', gone_at = now()
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """What is known of a device beside its registration; None leaves what was known."""

    user_id: str | None = None  #: object id of who is logged in
    attributes: dict[str, object] | None = None
    locale: str | None = None
    time_zone: str | None = None

    def known(self) -> dict[str, Any]:
        """Columns to change."""
        return {name: fact for name in self.__slots__ if (fact := getattr(self, name)) is not None}


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


def register(application: Application, request: RegistrationRequest, facts: DeviceFacts | None = None) -> Registered:
    """Store the device, or renew what is stored of it; it listens to the channels named now and to no other.

    A token that another device held moves: that device's registration becomes gone.
    """
    registration_id = _store_quickly(application, request) or _store_changed_token(application, request)
    known = facts.known() if facts is not None else {}
    if known:  # most registrations have none, and stay one statement
        DeviceRegistration.objects.filter(registration_id=registration_id).update(**known)
    return Registered(registration_id, request.channel_names)


def _store_quickly(application: Application, request: RegistrationRequest) -> UUID | None:
    """A new device, or one with the token it had: one statement, shared with others. None for anything else."""
    try:
        wanted = _wanted(application, request)
        if not connection.in_atomic_block:
            return _group_commit.run(wanted)
        with transaction.atomic():  # an error must not spoil the caller's transaction
            return _store_alone(wanted)
    except (IntegrityError, OperationalError) as error:
        _refuse_other_failures(error)
        # another device holds the token, or a channel was deleted since this process met it
        forget(application.pk, request.channel_names)
        return None


def _store_changed_token(application: Application, request: RegistrationRequest) -> UUID:
    """Take the token from whoever holds it; again when a device new like this one was faster."""
    failure: DatabaseError = IntegrityError()
    for _ in range(_MOST_ROUNDS):
        wanted = _wanted(application, request)
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute(_LOCK_BOTH, wanted)
                    cursor.execute(_TAKE_FROM_HOLDER, wanted)
                (registration_id,) = _store([wanted], may_change_token=True, is_hurried=False)
        except (IntegrityError, OperationalError) as error:
            _refuse_other_failures(error)
            forget(application.pk, request.channel_names)
            failure = error
        else:
            assert registration_id is not None
            return registration_id
    raise failure


def _refuse_other_failures(error: DatabaseError) -> None:
    """Raise it again unless it says that somebody else was faster.

    New devices with one token may wait for each other inside PostgreSQL's speculative insertion: it ends one of them.
    """
    if not isinstance(error, IntegrityError) and not isinstance(error.__cause__, DeadlockDetected):
        raise error


def _wanted(application: Application, request: RegistrationRequest) -> dict[str, Any]:
    """The device as the statements read it."""
    return {
        "registration_id": uuid4(),  # if it is new
        "application": application.pk,
        "device_id": request.device_id,
        "token": request.token,
        "token_digest": token_digest(request.token),
        "os": request.os.value,
        "os_version": request.os_version,
        "push_service": request.push_service.value,
        "expiration": request.expiration,
        # as PostgreSQL writes an array, ascending
        "channels": f"{{{','.join(map(str, sorted(channel_ids(application.pk, request.channel_names))))}}}",
    }


def _store(wanted: Sequence[dict[str, Any]], *, may_change_token: bool, is_hurried: bool) -> list[UUID | None]:
    """Ids of the registrations, in the order of the devices; None for what may not be stored this way."""
    values = {
        "wanted": msgspec.json.encode(wanted).decode(),
        "may_change_token": may_change_token,
        "is_hurried": is_hurried,
    }
    ((registration_ids,),) = fetch_all(_REGISTER, values)
    assert isinstance(registration_ids, list)
    return registration_ids


def _store_together(wanted: Sequence[dict[str, Any]]) -> list[UUID | None]:
    first = {**wanted[0], "unless_seen_since": datetime.now(UTC) + _FRESH}  # said once for all of them
    return _store([first, *wanted[1:]], may_change_token=False, is_hurried=True)


def _store_alone(wanted: dict[str, Any]) -> UUID | None:
    return _store([wanted], may_change_token=False, is_hurried=False)[0]


_group_commit: GroupCommit[dict[str, Any], UUID | None] = GroupCommit(
    _store_together, _store_alone, key=itemgetter("application", "device_id"), most=_MOST_TOGETHER
)


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
