"""Which registrations a message reaches: reads only."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from devices.push_services import NATIVE_PUSH_SERVICE, Os, OsMask, PushService


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceSpec:
    """Who is meant (design.md 6): always devices of one application, active and unexpired."""

    application_pk: int
    #: None: whatever the channel (only when device ids are named)
    channel_pk: int | None
    #: None: every operating system (only when device ids are named)
    oses: tuple[Os, ...] | None
    #: None: not restricted to named devices
    device_ids: tuple[str, ...] | None = None

    @property
    def reaches_nobody(self) -> bool:
        """No operating system is meant, so no push goes out."""
        return self.oses == ()


@dataclass(frozen=True, slots=True)
class AudienceCount:
    """Devices of one operating system."""

    os: Os
    push_service: PushService
    devices: int


def _conditions(spec: AudienceSpec) -> tuple[str, list[object]]:
    """SQL over `devices_deviceregistration r`, joined to `devices_subscription s` when a channel is meant."""
    sql = "r.application_id = %s AND r.state = 'active' AND (r.expiration IS NULL OR r.expiration > now())"
    params: list[object] = [spec.application_pk]
    if spec.oses is not None and set(spec.oses) != set(Os):
        sql += " AND r.os = ANY(%s)"
        params.append([str(os) for os in spec.oses])
    if spec.device_ids is not None:
        sql += " AND r.device_id = ANY(%s)"
        params.append(list(spec.device_ids))
    if spec.device_ids is None and spec.channel_pk is not None:
        sql += " AND s.channel_id = %s"
        params.append(spec.channel_pk)
    return sql, params


def _tables(spec: AudienceSpec) -> str:
    if spec.device_ids is None and spec.channel_pk is not None:
        return "devices_deviceregistration r JOIN devices_subscription s ON s.registration_id = r.id"
    return "devices_deviceregistration r"


def count(spec: AudienceSpec) -> list[AudienceCount]:
    """Devices by operating system and push service, largest operating system first named in `Os`."""
    if spec.reaches_nobody:
        return []
    where, params = _conditions(spec)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.os, r.push_service, count(*) FROM {_tables(spec)} WHERE {where} GROUP BY 1, 2",  # noqa: S608
            params,
        )
        rows = cursor.fetchall()
    order = {os: position for position, os in enumerate(Os)}
    counts = [AudienceCount(Os(os), PushService(service), devices) for os, service, devices in rows]
    return sorted(counts, key=lambda entry: (order[entry.os], entry.push_service))


def highest_id() -> int:
    """The registration id no device of an audience frozen now can exceed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM devices_deviceregistration")
        (bound,) = cursor.fetchone()
    return int(bound)


def next_ids(spec: AudienceSpec, *, above: int, bound: int, limit: int) -> list[tuple[int, PushService]]:
    """The next `limit` registrations of the audience with `above < id <= bound`, by id.

    With a channel the page is bounded on the subscription first and joined outside: the obvious join makes the
    planner walk the registrations from the start for every page (94 us a device against 2.8, platform.md 3a).
    """
    where, params = _conditions(spec)
    if spec.device_ids is None and spec.channel_pk is not None:
        return _next_subscribed(spec, above=above, bound=bound, limit=limit)
    return _rows(
        "SELECT r.id, r.push_service FROM devices_deviceregistration r "  # noqa: S608
        f"WHERE {where} AND r.id > %s AND r.id <= %s ORDER BY r.id LIMIT %s",
        [*params, above, bound, limit],
    )


def _next_subscribed(spec: AudienceSpec, *, above: int, bound: int, limit: int) -> list[tuple[int, PushService]]:
    """Like `next_ids`, in steps that bound both tables by id, until `limit` is reached or nothing is left."""
    found: list[tuple[int, PushService]] = []
    where, params = _conditions(spec)
    while len(found) < limit and above < bound:
        upper = _subscription_border(spec.channel_pk, above=above, bound=bound)
        found += _rows(
            f"SELECT r.id, r.push_service FROM {_tables(spec)} WHERE {where} "  # noqa: S608
            "AND s.registration_id > %s AND s.registration_id <= %s AND r.id > %s AND r.id <= %s ORDER BY r.id",
            [*params, above, upper, above, upper],
        )
        above = upper
    return found


def _subscription_border(channel_pk: int | None, *, above: int, bound: int) -> int:
    """The registration id that ends the next 1,000 subscriptions of the channel, or `bound` when fewer are left."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT registration_id FROM devices_subscription WHERE channel_id = %s AND registration_id > %s "
            "AND registration_id <= %s ORDER BY registration_id OFFSET 999 LIMIT 1",
            [channel_pk, above, bound],
        )
        row = cursor.fetchone()
    return int(row[0]) if row else bound


def _rows(sql: str, params: list[object]) -> list[tuple[int, PushService]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [(row[0], PushService(row[1])) for row in cursor.fetchall()]


def native_service(os: Os) -> PushService:
    """The push service of an operating system's own tokens."""
    return NATIVE_PUSH_SERVICE[os]


def mask_of(oses: tuple[Os, ...]) -> OsMask:
    """The mask that names the operating systems."""
    mask = OsMask.NONE
    for os in oses:
        mask |= OsMask[os.value]
    return mask
