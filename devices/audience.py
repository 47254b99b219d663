"""Which registrations a message reaches: reads only."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from django.db import OperationalError, connection, transaction

from devices import segment_query
from devices.push_services import Os, PushService
from devices.segment_lookups import KeptLookups
from devices.segment_query import Sql
from devices.segment_scope import Reading, Scope

#: registration ids looked at first in a step of a segment; twice as many then, as long as few are found in no time
SEGMENT_RANGE = 10_000
_SEGMENT_STEP_S = 0.02
#: a segment is narrow that has fewer in its first range
_FEW_OF_RANGE = 10
#: no range is wider: so many listeners are hashed with the 4 MB of work_mem that PostgreSQL has by default (32 B each)
_WIDEST_RANGE = 125_000
#: ids counted in one statement where listeners of channels are hashed, and the work_mem for it
_COUNTED_RANGE, _COUNTING_MEMORY = 500_000, "32MB"

#: somebody is typing: an exact count that takes longer gives way to an estimate, which takes 30 to 140 ms
_PATIENCE_MS = 150
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


#: what a subscription says of its device (migration 0007)
_COPIED = {"id", "os", "push_service", "expiration"}
_REACHABLE = "r.state = 'active' AND (r.expiration IS NULL OR r.expiration > now())"
_HEARING = (
    "(SELECT s.registration_id AS id, s.os, s.push_service, s.expiration FROM devices_subscription s "
    "WHERE s.channel_id = %s AND s.is_active AND (s.expiration IS NULL OR s.expiration > now())) r"
)


def _scope(spec: AudienceSpec, reading: Reading) -> Scope:
    # devices that are named are few, whatever is read
    return Scope(
        application_pk=spec.application_pk,
        lookups=KeptLookups(spec.application_pk),
        heard=spec.channel_pk,
        reading=reading if spec.device_ids is None else Reading.SAMPLE,
    )


def _narrowing(spec: AudienceSpec, scope: Scope) -> Sql:
    """What is asked of registrations `r` that can be reached: operating systems, named devices, segment; or "true"."""
    parts, params, joins = ["true"], list[Any](), ""
    if spec.oses is not None and set(spec.oses) != set(Os):
        parts.append("r.os = ANY(%s)")
        params.append([str(os) for os in spec.oses])
    if spec.device_ids is not None:
        parts.append("r.device_id = ANY(%s)")
        params.append(list(spec.device_ids))
    if spec.segment_query:
        condition = segment_query.to_sql(spec.segment_query, scope)
        joins = condition.joins
        parts.append(condition.text)
        params += condition.params
    return Sql(" AND ".join(parts), tuple(params), joins)


def _is_copied(sql: str) -> bool:
    """Whether subscriptions alone can answer it. The text is all ours: values stand beside it."""
    return set(re.findall(r"\br\.(\w+)", sql)) <= _COPIED


@dataclass(frozen=True, slots=True)
class QuickCount:
    """Devices by operating system and push service, estimated where an exact count takes too long."""

    counts: list[AudienceCount]
    is_exact: bool


def count(spec: AudienceSpec) -> list[AudienceCount]:
    """Devices by operating system and push service, largest operating system first named in `Os`."""
    return _added_up(_counted(spec))


def _counted(spec: AudienceSpec) -> Iterator[list[AudienceCount]]:
    """A count of each part of the registrations."""
    if spec.reaches_nobody:
        return
    scope = _scope(spec, Reading.ALL)
    narrowing = _narrowing(spec, scope)
    if not narrowing.is_hashed:
        yield _counts(*_by_system(_registrations(spec, narrowing, scope)))
        return
    through, bound = 0, highest_id()
    while (listener := _next_listener(spec, through, bound)) is not None:
        through = listener - 1 + _COUNTED_RANGE
        scope = replace(scope, ids=(listener - 1, through))
        with _set_locally("work_mem", _COUNTING_MEMORY):
            found = _counts(*_by_system(_registrations(spec, _narrowing(spec, scope), scope)))
        yield found


def _by_system(registrations: tuple[str, list[Any]]) -> tuple[str, list[Any]]:
    counted, params = registrations
    return f"SELECT r.os, r.push_service, count(*) FROM {counted} GROUP BY 1, 2", params  # noqa: S608


def _added_up(parts: Iterable[list[AudienceCount]]) -> list[AudienceCount]:
    found = Counter[tuple[Os, PushService]]()
    for part in parts:
        found.update({(entry.os, entry.push_service): entry.devices for entry in part})
    order = {os: position for position, os in enumerate(Os)}
    counts = [AudienceCount(os, service, devices) for (os, service), devices in found.items()]
    return sorted(counts, key=lambda entry: (order[entry.os], entry.push_service))


def count_quickly(spec: AudienceSpec, *, patience_ms: int = _PATIENCE_MS) -> QuickCount:
    """The count for people who type: exact if that takes no longer than `patience_ms`, else an estimate.

    A segment that half of a million devices match takes a second or more; nothing but reading them all can count it.
    """
    if spec.reaches_nobody:
        return QuickCount([], is_exact=True)
    try:
        counts = _count_for(spec, patience_ms)
    except OperationalError as error:
        if not isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise
        counts = None
    return QuickCount(_estimate(spec), is_exact=False) if counts is None else QuickCount(counts, is_exact=True)


def _count_for(spec: AudienceSpec, patience_ms: int) -> list[AudienceCount] | None:
    """The count; None or an error that the statement was cancelled if it takes longer."""
    stop_at = time.monotonic() + patience_ms / 1000
    parts: list[list[AudienceCount]] = []
    with _set_locally("statement_timeout", str(patience_ms)):
        for part in _counted(spec):
            parts.append(part)
            if time.monotonic() >= stop_at:
                return None
    return _added_up(parts)


@contextmanager
def _set_locally(setting: str, value: str) -> Iterator[None]:
    """In a transaction, which ends as it began; an error takes the setting with it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s), set_config(%s, %s, true)", [setting, setting, value])
        (before, _) = cursor.fetchone()
        yield
        cursor.execute("SELECT set_config(%s, %s, true)", [setting, before])


def _estimate(spec: AudienceSpec) -> list[AudienceCount]:
    """From registrations of ids in some places, always the same ones, so that the number does not dance."""
    narrowing = _narrowing(spec, _scope(spec, Reading.SAMPLE))
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
        f"AND r.application_id = %s AND {_REACHABLE} AND {narrowing.text} GROUP BY 1, 2"
    )
    params = [places, min(_SAMPLE_IDS, stratum), spec.channel_pk, spec.application_pk, *narrowing.params]
    found = _counts(sql, params)
    return [replace(entry, devices=rounded(entry.devices * highest / sampled)) for entry in _added_up([found])]


def rounded(devices: float) -> int:
    """To two digits: what an estimate does not know it does not say."""
    return int(float(f"{devices:.1e}"))


def _counts(sql: str, params: list[Any]) -> list[AudienceCount]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows = cursor.fetchall()
    return [AudienceCount(Os(os), PushService(service), devices) for os, service, devices in rows]


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
    among the next `limit` subscriptions of the channel, or of about as many registrations of a segment.
    """
    if spec.reaches_nobody:
        return AudiencePage(ids={}, through=bound, is_last=True)
    if spec.device_ids is not None:
        scope = replace(_scope(spec, Reading.SAMPLE), ids=(0, bound))
        named = _found(_registrations(spec, _narrowing(spec, scope), scope))
        return AudiencePage(ids=named, through=bound, is_last=True)
    if spec.segment_query:
        return _segment_page(spec, above=above, bound=bound, limit=limit)
    return _channel_page(spec, above=above, bound=bound, limit=limit)


def _channel_page(spec: AudienceSpec, *, above: int, bound: int, limit: int) -> AudiencePage:
    """From the subscriptions alone. LIMIT in a query of its own: beside the conditions, the planner would walk an
    index of registrations from the start for every page (94 us a device against 1, platform.md 3a).
    """
    narrowing = _narrowing(spec, _scope(spec, Reading.SCAN))
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH looked_at AS MATERIALIZED (SELECT registration_id AS id, os, push_service, expiration, is_active "  # noqa: S608
            "FROM devices_subscription WHERE channel_id = %s AND registration_id > %s AND registration_id <= %s "
            "ORDER BY registration_id LIMIT %s) "
            "SELECT r.push_service, count(*), max(r.id), array_agg(r.id ORDER BY r.id) FILTER (WHERE r.is_active "
            f"AND (r.expiration IS NULL OR r.expiration > now()) AND {narrowing.text}) FROM looked_at r GROUP BY 1",
            [spec.channel_pk, above, bound, limit, *narrowing.params],
        )
        rows = cursor.fetchall()
    is_last = sum(looked_at for _, looked_at, _, _ in rows) < limit
    return AudiencePage(
        ids={PushService(service): ids for service, _, _, ids in rows if ids},
        through=bound if is_last else max(last for _, _, last, _ in rows),
        is_last=is_last,
    )


def _segment_page(spec: AudienceSpec, *, above: int, bound: int, limit: int) -> AudiencePage:
    """Those of the segment among the next registration ids.

    A range of ids instead of a LIMIT: with that the planner walks the primary key for a narrow segment and sorts a
    wide one for every page. The first range is read as it lies, since for a wide segment the planner would go through
    an index of everybody for each; where few match, the next are left to indexes. Where they find nothing in no time,
    ranges grow, so that a narrow segment is looked through in one step. Each begins where somebody listens: the ids of
    an application may lie millions apart.
    """
    stop_at = time.monotonic() + _SEGMENT_STEP_S
    ids: dict[PushService, list[int]] = {}
    width, scope = SEGMENT_RANGE, _scope(spec, Reading.SCAN)
    while True:
        listener = _next_listener(spec, above, bound)
        if listener is None:
            return AudiencePage(ids=ids, through=bound, is_last=True)
        above = listener - 1
        through = min(bound, above + width)
        scope = replace(scope, ids=(above, through))
        for service, found in _found(_registrations(spec, _narrowing(spec, scope), scope)).items():
            ids.setdefault(service, []).extend(found)
        devices = sum(map(len, ids.values()))
        if scope.reading is Reading.SCAN and devices < _FEW_OF_RANGE:
            # the step's time is for searching: on a busy machine the first range alone would take it
            scope, stop_at = replace(scope, reading=Reading.SEARCH), time.monotonic() + _SEGMENT_STEP_S
        if devices >= limit or time.monotonic() >= stop_at or through >= bound:
            return AudiencePage(ids=ids, through=through, is_last=through >= bound)
        above, width = through, min(2 * width, _WIDEST_RANGE)


def _next_listener(spec: AudienceSpec, above: int, bound: int) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT registration_id FROM devices_subscription "
            "WHERE channel_id = %s AND registration_id > %s AND registration_id <= %s ORDER BY registration_id LIMIT 1",
            [spec.channel_pk, above, bound],
        )
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def _registrations(spec: AudienceSpec, narrowing: Sql, scope: Scope) -> tuple[str, list[Any]]:
    """The devices of the audience that lie in the scope, as a query of whatever stands before its FROM.

    Both tables are bound by id: the planner does not carry a range from one to the other.
    """
    bounds = list[Any](scope.ids or ())
    which = "r.id > %s AND r.id <= %s AND " if bounds else ""
    if spec.device_ids is None and _is_copied(narrowing.text):
        # without a join: counted from one index of the subscriptions, unless the segment asks for their ids
        return f"{_HEARING} WHERE {which}{narrowing.text}", [spec.channel_pk, *bounds, *narrowing.params]
    if scope.reading is Reading.SCAN and scope.ids is not None:
        return _scanned(spec, narrowing, scope.ids)
    params = [*bounds]
    if spec.device_ids is None:
        hearing = " AND s.registration_id > %s AND s.registration_id <= %s" if bounds else ""
        listening = f"devices_subscription s WHERE s.channel_id = %s{hearing}"
        which += f"r.id IN (SELECT s.registration_id FROM {listening}) AND "  # noqa: S608
        params += [spec.channel_pk, *bounds]
    conditions = f"{which}r.application_id = %s AND {_REACHABLE} AND {narrowing.text}"
    tables = f"devices_deviceregistration r{narrowing.joins}"
    return f"{tables} WHERE {conditions}", [*params, spec.application_pk, *narrowing.params]


def _scanned(spec: AudienceSpec, narrowing: Sql, ids: tuple[int, int]) -> tuple[str, list[Any]]:
    """As `_registrations`, with a plan that hardly depends on statistics: the range as it lies, each row by itself.

    OFFSET 0 keeps the planner from asking any index but that of the ids, IS TRUE from joining the listeners, LIMIT,
    which nothing reaches, from doubting that they fit into memory.
    """
    above, through = ids
    listening = "channel_id = %s AND registration_id > %s AND registration_id <= %s"
    return (
        "(SELECT * FROM devices_deviceregistration WHERE id > %s AND id <= %s OFFSET 0) r "  # noqa: S608
        f"WHERE r.application_id = %s AND {_REACHABLE} AND {narrowing.text} "
        "AND (r.id IN (SELECT registration_id FROM devices_subscription "
        f"WHERE {listening} LIMIT {through - above})) IS TRUE",
        [above, through, spec.application_pk, *narrowing.params, spec.channel_pk, above, through],
    )


def _found(of_registrations: tuple[str, list[Any]]) -> dict[PushService, list[int]]:
    """Grouped by the database: a row a device costs 2 us in Python, an array of ids next to nothing."""
    registrations, params = of_registrations
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.push_service, array_agg(r.id ORDER BY r.id) FROM {registrations} GROUP BY r.push_service",  # noqa: S608
            params,
        )
        return {PushService(service): ids for service, ids in cursor.fetchall()}


def id_array(ids: Iterable[int]) -> str:
    """Ids as PostgreSQL writes an array; cast it with `::bigint[]`. A tenth of what adapting a list costs."""
    return "{" + ",".join(map(str, ids)) + "}"
