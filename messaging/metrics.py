"""Numbers for monitors in Prometheus' text format (version 0.0.4), read from the database with ten queries.

Nothing is kept in a process: any web server of any machine answers the same. Outcomes are counted where drains write
them; everything else is read from the rows that decide what is done next.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import connection

from devices.push_services import PushService
from messaging import feedback, latencies, queue
from messaging.batches import ClaimedBatch
from messaging.feedback import Progress
from messaging.heartbeat import DEAD_AFTER
from messaging.latencies import Latency
from messaging.models import SKIPPED_OUTCOMES, DeliveryOutcome

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FLUSH_EVERY_S = 1.0
#: pages (8 KiB) of the devices table that are read to estimate the rest: about 15,000 devices, 8 ms
_SAMPLED_PAGES = 1_000
#: reasons are words of push services: a service that invents one per answer must not flood the monitor
_MOST_REASONS = 300


class OutcomeCounter:
    """Writes progress as `feedback` does, and counts what was written. One per drain.

    The counts go to the database once a second, in a statement of their own: a row that every commit of every worker
    had to lock would make them wait for each other. A worker that is killed loses a second of these counts.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[PushService, DeliveryOutcome, str]] = Counter()
        self._flushed_at = time.monotonic()

    def record(self, progress: Sequence[Progress]) -> list[ClaimedBatch]:
        """`feedback.record`; the batches that had been lost to another worker are not counted."""
        lost = feedback.record(progress)
        lost_attempts = {(batch.pk, batch.attempt) for batch in lost}
        for entry in progress:
            if (entry.batch.pk, entry.batch.attempt) not in lost_attempts:
                service = entry.batch.push_service
                self._counts.update((service, result.outcome, result.reason) for result in entry.results)
        if time.monotonic() - self._flushed_at >= _FLUSH_EVERY_S:
            self.flush()
        return lost

    def flush(self) -> None:
        """Add what was counted since the last time."""
        self._flushed_at = time.monotonic()
        if not self._counts:
            return
        with connection.cursor() as cursor:
            # Sorted: two drains that lock the same rows in another order would wait for each other for ever
            cursor.execute(
                "INSERT INTO messaging_outcomecount AS c (push_service, outcome, reason, devices) "
                "SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) ORDER BY 1, 2, 3 "
                "ON CONFLICT (push_service, outcome, reason) DO UPDATE SET devices = c.devices + excluded.devices",
                [
                    [service.value for service, _, _ in self._counts],
                    [outcome.value for _, outcome, _ in self._counts],
                    [reason for _, _, reason in self._counts],
                    list(self._counts.values()),
                ],
            )
        self._counts.clear()


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: a value and its labels."""

    value: float
    labels: dict[str, str] = field(default_factory=dict)
    suffix: str = ""  #: of the family's name: _bucket, _sum, _count


@dataclass(frozen=True, slots=True)
class Family:
    """What one name measures."""

    name: str
    kind: str  #: counter, gauge, histogram
    explanation: str
    samples: Sequence[Sample]


def exposition() -> str:
    """Everything there is to tell, as Prometheus reads it."""
    return "".join(line + "\n" for family in families() for line in _lines(family))


def families() -> Iterator[Family]:
    """Every family, each with a query or two of its own."""
    yield Family("clarion_info", "gauge", "Always 1.", [Sample(1, {"version": settings.VERSION})])
    yield _outcomes()
    yield _histogram(latencies.START, "From due to the first request, of firings that have ended.")
    yield _histogram(latencies.FINISH, "From due to the last outcome, of firings that have ended.")
    yield from _queue_depth()
    yield from _waiting_firings()
    yield Family(
        "clarion_jobs_waiting",
        "gauge",
        "Background jobs no worker has taken.",
        [Sample(queue.waiting_jobs(settings.QUEUE_NAME))],
    )
    yield _lanes()
    yield from _heartbeats()
    yield _devices()


def _outcomes() -> Family:
    rows = _rows(
        "SELECT push_service, outcome, reason, devices FROM messaging_outcomecount ORDER BY devices DESC LIMIT %s",
        _MOST_REASONS,
    )
    samples = [
        Sample(devices, {"push_service": service, "result": _result(outcome), "outcome": outcome, "reason": reason})
        for service, outcome, reason, devices in rows
    ]
    return Family("clarion_outcomes_total", "counter", "Devices by what became of their notification.", samples)


def _result(outcome: str) -> str:
    """The column of the ledger that an outcome counts for."""
    if outcome == DeliveryOutcome.ACCEPTED:
        return "accepted"
    return "skipped" if outcome in SKIPPED_OUTCOMES else "failed"


def _histogram(latency: Latency, explanation: str) -> Family:
    counts = latencies.counted(latency)
    samples, seen = [], 0
    for bucket, bound in enumerate(latency.bounds):
        seen += counts[bucket].firings
        samples.append(Sample(seen, {"le": _number(bound)}, "_bucket"))
    total = sum(count.firings for count in counts)
    samples.append(Sample(total, {"le": "+Inf"}, "_bucket"))
    samples.append(Sample(sum(count.seconds for count in counts), suffix="_sum"))
    samples.append(Sample(total, suffix="_count"))
    return Family(f"clarion_{latency.name}_seconds", "histogram", explanation, samples)


def _queue_depth() -> Iterator[Family]:
    rows = _rows(
        "SELECT push_service, state, count(*), sum(targeted - accepted - failed - skipped), "
        "coalesce(extract(epoch FROM now() - min(due_at) FILTER (WHERE state = 'waiting' AND due_at <= now())), 0) "
        "FROM messaging_batch WHERE state <> 'done' GROUP BY 1, 2"
    )
    labels = [{"push_service": service, "state": state} for service, state, *_ in rows]
    yield Family(
        "clarion_open_batches",
        "gauge",
        "Batches of up to 1,000 devices that are not finished.",
        [Sample(row[2], label) for row, label in zip(rows, labels, strict=True)],
    )
    yield Family(
        "clarion_pending_devices",
        "gauge",
        "Devices of these batches without an outcome.",
        [Sample(row[3], label) for row, label in zip(rows, labels, strict=True)],
    )
    yield Family(
        "clarion_oldest_batch_seconds",
        "gauge",
        "How long the batch that waits longest could have been sent.",
        [Sample(float(row[4]), {"push_service": row[0]}) for row in rows if row[1] == "waiting"],
    )


def _waiting_firings() -> Iterator[Family]:
    ((overdue, oldest_s, planning, sending),) = _rows(
        "SELECT count(*), coalesce(extract(epoch FROM now() - min(due_at)), 0), "
        "(SELECT count(*) FROM messaging_occurrence WHERE closed_at IS NULL AND state = 'planning'), "
        "(SELECT count(*) FROM messaging_occurrence WHERE closed_at IS NULL AND state = 'sending') "
        "FROM messaging_occurrence WHERE state = 'scheduled' AND due_at <= now()"
    )
    counts = {"due": overdue, "planning": planning, "sending": sending}
    yield Family(
        "clarion_open_firings",
        "gauge",
        "Firings of messages that are due and not ended.",
        [Sample(count, {"state": state}) for state, count in counts.items()],
    )
    yield Family(
        "clarion_oldest_due_firing_seconds",
        "gauge",
        "How late the firing is that no ticker has claimed.",
        [Sample(float(oldest_s))],
    )


def _lanes() -> Family:
    rows = _rows(
        "SELECT upper(a.application_id::text), l.push_service, "
        "CASE WHEN l.state = 'throttled' AND l.throttled_until <= now() THEN 'open' ELSE l.state END, count(*) "
        "FROM messaging_lane l JOIN devices_application a ON a.id = l.application_id GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    samples = [
        Sample(count, {"application": application, "push_service": service, "state": state})
        for application, service, state, count in rows
    ]
    return Family("clarion_lanes", "gauge", "Lanes by state; Web Push and WNS have one for each origin.", samples)


def _heartbeats() -> Iterator[Family]:
    rows = _rows(
        "SELECT name, kind, workers, extract(epoch FROM now() - seen_at) FROM messaging_workergroup "
        "WHERE seen_at > now() - interval '1 hour' ORDER BY name"
    )
    yield Family(
        "clarion_heartbeat_age_seconds",
        "gauge",
        "Since the last sign of life of a ticker or group of workers; 20 and more is dead.",
        [Sample(float(age_s), {"name": name, "kind": kind}) for name, kind, _, age_s in rows],
    )
    yield Family(
        "clarion_workers",
        "gauge",
        "Worker processes of a group; 0 once it is dead.",
        [
            Sample(workers if age_s < DEAD_AFTER.total_seconds() else 0, {"name": name})
            for name, kind, workers, age_s in rows
            if kind == "workers"
        ],
    )


def _devices() -> Family:
    """Counted for small tables, else scaled up from a sample of pages: a count of 1,000,000 takes 0.2 s."""
    ((pages, density),) = _rows(
        "SELECT pg_relation_size(oid) / current_setting('block_size')::int, "
        "CASE WHEN relpages > 0 AND reltuples > 0 THEN reltuples / relpages END "
        "FROM pg_class WHERE oid = 'devices_deviceregistration'::regclass"
    )
    percent = min(100.0, 100.0 * _SAMPLED_PAGES / max(1, pages))
    rows = _rows(
        "SELECT push_service, state, count(*) FROM devices_deviceregistration "
        "TABLESAMPLE SYSTEM (%s) REPEATABLE (0) GROUP BY 1, 2 ORDER BY 1, 2",
        percent,
    )
    scale = 100.0 / percent
    if scale > 1 and density and rows:
        # The number of sampled pages varies by 3 %; rows per page are known better, from the last ANALYZE
        scale = density * pages / sum(count for _, _, count in rows)
    samples = [
        Sample(round(count * scale), {"push_service": service, "state": state}) for service, state, count in rows
    ]
    return Family("clarion_devices", "gauge", "Registered devices; an estimate above some 15,000.", samples)


def _rows(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters or None)
        return list(cursor.fetchall())


def _lines(family: Family) -> Iterable[str]:
    yield f"# HELP {family.name} {family.explanation}"
    yield f"# TYPE {family.name} {family.kind}"
    for sample in family.samples:
        labels = ",".join(f'{name}="{_escape(text)}"' for name, text in sample.labels.items())
        yield f"{family.name}{sample.suffix}{{{labels}}} {_number(sample.value)}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.6g}"
