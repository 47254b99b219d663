"""Which registrations a message reaches: reads only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection

from devices import segment_query
from devices.push_services import Os, PushService

#: registration ids looked at in one step of a segment
SEGMENT_RANGE = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceSpec:
    """Who is meant (design.md 6): always devices of one application, active and unexpired."""

    application_pk: int
    #: None: whatever the channel (only when device ids are named); 0: a channel that does not exist yet
    channel_pk: int | None
    #: None: every operating system (only when device ids are named)
    oses: tuple[Os, ...] | None
    #: None: not restricted to named devices
    device_ids: tuple[str, ...] | None = None
    #: a where clause that narrows the rest (`devices.segment_query`); "" none
    segment_query: str = ""

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


def _device_conditions(spec: AudienceSpec) -> tuple[str, list[Any]]:
    """SQL over `devices_deviceregistration r`: everything but the channel."""
    sql = "r.application_id = %s AND r.state = 'active' AND (r.expiration IS NULL OR r.expiration > now())"
    params: list[Any] = [spec.application_pk]
    if spec.oses is not None and set(spec.oses) != set(Os):
        sql += " AND r.os = ANY(%s)"
        params.append([str(os) for os in spec.oses])
    if spec.device_ids is not None:
        sql += " AND r.device_id = ANY(%s)"
        params.append(list(spec.device_ids))
    if spec.segment_query:
        condition = segment_query.to_sql(spec.segment_query)
        sql += f" AND {condition.text}"
        params += condition.params
    return sql, params


def count(spec: AudienceSpec) -> list[AudienceCount]:
    """Devices by operating system and push service, largest operating system first named in `Os`."""
    if spec.reaches_nobody:
        return []
    where, params = _device_conditions(spec)
    tables = "devices_deviceregistration r"
    if spec.device_ids is None:
        tables += " JOIN devices_subscription s ON s.registration_id = r.id AND s.channel_id = %s"
        params = [spec.channel_pk, *params]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.os, r.push_service, count(*) FROM {tables} WHERE {where} GROUP BY 1, 2",  # noqa: S608
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AudiencePage:
    """Some registrations of an audience, by id."""

    ids: dict[PushService, list[int]]  #: registration ids by the push service that reaches them, ascending
    through: int  #: everything up to this registration id has been looked at
    is_last: bool


def next_page(spec: AudienceSpec, *, above: int, bound: int, limit: int) -> AudiencePage:
    """The registrations of the audience with `above < id <= bound`: all of them where devices are named, else those
    among the next `limit` subscriptions of the channel.

    Two plain look-ups instead of a join: the obvious join makes the planner walk the registrations from the start
    for every page (94 us a device against 1, platform.md 3a), or worse while the tables have no statistics yet.
    """
    if spec.reaches_nobody:
        return AudiencePage(ids={}, through=bound, is_last=True)
    if spec.device_ids is not None:
        named = _reachable(spec, "r.id <= %s", [bound])
        return AudiencePage(ids=named, through=bound, is_last=True)
    if spec.segment_query:
        return _segment_page(spec, above=above, bound=bound)
    subscribed = _subscribed(spec.channel_pk, above=above, bound=bound, limit=limit)
    is_last = len(subscribed) < limit
    return AudiencePage(
        ids=_reachable(spec, "r.id = ANY(%s::bigint[])", [id_array(subscribed)]),
        through=bound if is_last else subscribed[-1],
        is_last=is_last,
    )


def _segment_page(spec: AudienceSpec, *, above: int, bound: int) -> AudiencePage:
    """Those of the segment among the next registration ids.

    A range of ids instead of a LIMIT: with that the planner walks the primary key for a narrow segment and sorts a
    wide one for every page. A range costs the same wherever it lies, and lets an index on attributes be used.
    """
    through = min(bound, above + SEGMENT_RANGE)
    found = _reachable(
        spec,
        "r.id > %s AND r.id <= %s AND r.id IN (SELECT s.registration_id FROM devices_subscription s "
        "WHERE s.channel_id = %s AND s.registration_id > %s AND s.registration_id <= %s)",
        [above, through, spec.channel_pk, above, through],
    )
    return AudiencePage(ids=found, through=through, is_last=through >= bound)


def _subscribed(channel_pk: int | None, *, above: int, bound: int, limit: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT registration_id FROM devices_subscription WHERE channel_id = %s AND registration_id > %s "
            "AND registration_id <= %s ORDER BY registration_id LIMIT %s",
            [channel_pk, above, bound, limit],
        )
        return [row[0] for row in cursor.fetchall()]


def _reachable(spec: AudienceSpec, which: str, which_params: list[Any]) -> dict[PushService, list[int]]:
    """Grouped by the database: a row a device costs 2 us in Python, an array of ids next to nothing."""
    where, params = _device_conditions(spec)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.push_service, array_agg(r.id ORDER BY r.id) FROM devices_deviceregistration r "  # noqa: S608
            f"WHERE {which} AND {where} GROUP BY r.push_service",
            [*which_params, *params],
        )
        return {PushService(service): ids for service, ids in cursor.fetchall()}


def id_array(ids: Iterable[int]) -> str:
    """Ids as PostgreSQL writes an array; cast it with `::bigint[]`. A tenth of what adapting a list costs."""
    return "{" + ",".join(map(str, ids)) + "}"
