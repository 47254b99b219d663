"""Which registrations a message reaches: reads only."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import OperationalError, connection, transaction

from devices import segment_query
from devices.push_services import Os, PushService

#: registration ids looked at in one step of a segment
SEGMENT_RANGE = 50_000

#: somebody is typing: an exact count that takes longer gives way to an estimate, which takes 20 to 60 ms
_PATIENCE_MS = 200
#: what an estimate looks at: so many registration ids in one place, in so many places
_SAMPLE_IDS, _SAMPLE_PLACES = 512, 64


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


@dataclass(frozen=True, slots=True)
class QuickCount:
    """Devices by operating system and push service, estimated where an exact count takes too long."""

    counts: list[AudienceCount]
    is_exact: bool


def count(spec: AudienceSpec) -> list[AudienceCount]:
    """Devices by operating system and push service, largest operating system first named in `Os`."""
    if spec.reaches_nobody:
        return []
    if spec.device_ids is None and not spec.segment_query:
        return _count_channel(spec)
    where, params = _device_conditions(spec)
    tables = "devices_deviceregistration r"
    if spec.device_ids is None:
        tables += " JOIN devices_subscription s ON s.registration_id = r.id AND s.channel_id = %s"
        params = [spec.channel_pk, *params]
    return _counts(f"SELECT r.os, r.push_service, count(*) FROM {tables} WHERE {where} GROUP BY 1, 2", params)  # noqa: S608


def count_quickly(spec: AudienceSpec, *, patience_ms: int = _PATIENCE_MS) -> QuickCount:
    """The count for people who type: exact if that takes no longer than `patience_ms`, else an estimate.

    A segment that half of a million devices match takes a second or more; nothing but reading them all can count it.
    """
    if spec.reaches_nobody:
        return QuickCount([], is_exact=True)
    try:
        with _statement_timeout(patience_ms):
            return QuickCount(count(spec), is_exact=True)
    except OperationalError as error:
        if not isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise
    return QuickCount(_estimate(spec), is_exact=False)


@contextmanager
def _statement_timeout(milliseconds: int) -> Iterator[None]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        (before,) = cursor.fetchone()
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(milliseconds)])
        yield
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [before])


def _count_channel(spec: AudienceSpec) -> list[AudienceCount]:
    """From one index of the subscriptions; the join with their devices took three times as long."""
    sql = (
        "SELECT s.os, s.push_service, count(*) FROM devices_subscription s WHERE s.channel_id = %s AND s.is_active "
        "AND (s.expiration IS NULL OR s.expiration > now())"
    )
    params: list[Any] = [spec.channel_pk]
    if spec.oses is not None and set(spec.oses) != set(Os):
        sql += " AND s.os = ANY(%s)"
        params.append([str(os) for os in spec.oses])
    return _counts(f"{sql} GROUP BY 1, 2", params)


def _estimate(spec: AudienceSpec) -> list[AudienceCount]:
    """From registrations of ids in some places, always the same ones, so that the number does not dance."""
    where, params = _device_conditions(spec)
    highest = highest_id()
    stratum = max(1, highest // _SAMPLE_PLACES)
    chosen = random.Random(highest // 100_000)  # noqa: S311  # not a secret
    places = [n * stratum + chosen.randrange(max(1, stratum - _SAMPLE_IDS)) for n in range(_SAMPLE_PLACES)]
    sampled = min(_SAMPLE_IDS, stratum) * _SAMPLE_PLACES
    # LIMIT and a subquery in WHERE, which the planner neither reorders nor flattens: joining all took a second
    sql = (
        "SELECT r.os, r.push_service, count(*) FROM unnest(%s::bigint[]) AS place (above), "  # noqa: S608
        "LATERAL (SELECT d.* FROM devices_deviceregistration d WHERE d.id > place.above AND d.id <= place.above + %s "
        f"ORDER BY d.id LIMIT {_SAMPLE_IDS}) AS r "
        "WHERE (SELECT true FROM devices_subscription s WHERE s.channel_id = %s AND s.registration_id = r.id) "
        f"AND {where} GROUP BY 1, 2"
    )
    found = _counts(sql, [places, min(_SAMPLE_IDS, stratum), spec.channel_pk, *params])
    return [AudienceCount(entry.os, entry.push_service, rounded(entry.devices * highest / sampled)) for entry in found]


def rounded(devices: float) -> int:
    """To two digits: what an estimate does not know it does not say."""
    return int(float(f"{devices:.1e}"))


def _counts(sql: str, params: list[Any]) -> list[AudienceCount]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
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
