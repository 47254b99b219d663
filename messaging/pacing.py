"""How fast requests may leave: token buckets in the database, shared by the workers of all machines.

A drain asks a bucket at most every quarter of a second, for what it will use until then, and keeps the rest; a bucket
never grants more than its limit allows, however many drains ask. Without a limit nothing here runs.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connection, transaction

from devices.push_services import PushService
from messaging.models import Pace
from messaging.providers.base import PushOutcome

#: "600K quota tokens for each 1-minute token bucket" (Firebase, Scale FCM); refused requests count too
FCM_PER_MINUTE = 600_000
#: what a bucket saves while nobody asks, in seconds of its rate
BURST_S = 0.5
#: a drain that may send nothing and waits for nothing looks again after this long
NAP_S = 0.02
#: what a drain was granted and has not used is thrown away after this long
KEEP_S = 1.0
#: so that no minute, wherever it begins, sees more than the quota
FCM_PER_SECOND = FCM_PER_MINUTE / (60 + BURST_S + KEEP_S)
#: Scale FCM asks for a ramp of 60 s and more; below the floor nobody's campaign is a spike
RAMP_S = 60.0
RAMP_FLOOR_PER_SECOND = 1_000.0
#: a bucket nobody asked for this long begins its ramp anew
IDLE_S = 60.0
#: reliability.md 1.2: halved when the service says quota, and back by a tenth of the limit each minute
_RECOVERY_PER_S = 0.1 / 60
_LEAST_SHARE = 0.01
#: answers that were on the wire together say quota together: that halves once
_SLOW_DOWN_ONCE_S = 10.0
_ASK_EVERY_S = 0.25
#: what a drain asks for at first; doubling, it has its share of the fastest lane within a second
_ASK_AT_LEAST = 100


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate that all drains share."""

    key: str
    per_second: float
    has_ramp: bool = False
    of_message: bool = False  #: else of the whole lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One row of `Pace`, and the database's clock when it was read."""

    credit: float
    asked_at: datetime
    busy_since: datetime
    share: float
    slowed_at: datetime
    now: datetime

    @property
    def idle_s(self) -> float:
        """Since anybody asked; clocks of concurrent readers may be a little apart."""
        return max(0.0, (self.now - self.asked_at).total_seconds())

    @property
    def share_now(self) -> float:
        """Part of the limit in use, after what it has recovered."""
        return min(1.0, self.share + _RECOVERY_PER_S * max(0.0, (self.now - self.slowed_at).total_seconds()))

    def rate(self, limit: Limit) -> float:
        """Requests per second at this moment."""
        rate = limit.per_second
        if limit.has_ramp:
            busy_s = max(0.0, (self.now - self.busy_since).total_seconds())
            ramp = RAMP_FLOOR_PER_SECOND + (rate - RAMP_FLOOR_PER_SECOND) * busy_s / RAMP_S
            rate = min(rate, max(RAMP_FLOOR_PER_SECOND, ramp))
        return rate * self.share_now

    def take(self, limit: Limit, wanted: int) -> tuple[int, Bucket]:
        """How many of `wanted` requests may leave, and the bucket after that."""
        bucket = replace(self, busy_since=self.now) if self.idle_s > IDLE_S else self
        rate = bucket.rate(limit)
        # A bucket that cannot hold one request would never let one out
        full = max(1.0, rate * BURST_S)
        credit = min(full, bucket.credit + rate * bucket.idle_s)
        granted = min(wanted, int(credit))
        return granted, replace(bucket, credit=credit - granted, asked_at=max(bucket.now, bucket.asked_at))


@dataclass(slots=True)
class _Purse:
    """What one drain holds of one bucket. Times are of the monotonic clock."""

    credit: int = 0
    used: int = 0  #: since it last asked
    asked_at: float = -_ASK_EVERY_S

    def refill(self, limit: Limit, needed: int) -> None:
        """Ask, unless it has enough or has just asked, for twice what the time since the last ask took."""
        now = time.monotonic()
        since_s = now - self.asked_at
        if since_s > KEEP_S:
            self.credit = 0
        if self.credit >= needed or since_s < _ASK_EVERY_S:
            return
        wanted = max(_ASK_AT_LEAST, 2 * self.used) - self.credit
        self.asked_at, self.used = now, 0
        if wanted > 0:
            self.credit += take(limit, wanted)


@dataclass(frozen=True, slots=True)
class MessagePace:
    """What somebody asked for a message."""

    pk: int
    per_second: int | None  #: None: no limit


@dataclass(frozen=True, slots=True)
class LanePace:
    """What somebody set for a lane."""

    application_pk: int
    push_service: PushService
    per_second: int | None  #: None: the push service's quota, 0: no limit
    is_simulated: bool


class Pacer:
    """The purses of one drain."""

    def __init__(self) -> None:
        self._purses: defaultdict[str, _Purse] = defaultdict(_Purse)

    def allowed(self, limits: Sequence[Limit], wanted: int) -> int:
        """How many of `wanted` requests may leave now under every one of the limits."""
        for limit in limits:
            purse = self._purses[limit.key]
            purse.refill(limit, wanted)
            wanted = min(wanted, purse.credit)
        return wanted

    def used(self, limits: Sequence[Limit], count: int) -> None:
        """Account for requests that left."""
        for limit in limits:
            purse = self._purses[limit.key]
            purse.credit -= count
            purse.used += count

    def is_slow_message(self, limits: Sequence[Limit]) -> bool:
        """Whether the message's own limit lets nothing out now: others in its lane need not wait for it."""
        return any(limit.of_message and self._purses[limit.key].credit <= 0 for limit in limits)


def lane_key(application_pk: int, push_service: PushService) -> str:
    """The bucket of a lane."""
    return f"lane/{application_pk}/{push_service.value}"


def message_key(message_pk: int) -> str:
    """The bucket of a message."""
    return f"message/{message_pk}"


def limits_of(message: MessagePace, lane: LanePace) -> tuple[Limit, ...]:
    """The limits of one message in one lane; none in most cases. Google's quota does not bind the simulators."""
    limits = []
    has_ramp = lane.push_service is PushService.FCM
    per_second = FCM_PER_SECOND if has_ramp and not lane.is_simulated else 0
    if lane.per_second is not None:
        per_second = lane.per_second
    if per_second:
        limits.append(Limit(lane_key(lane.application_pk, lane.push_service), per_second, has_ramp))
    if message.per_second:
        limits.append(Limit(message_key(message.pk), message.per_second, of_message=True))
    return tuple(limits)


def take(limit: Limit, wanted: int) -> int:
    """Take from the bucket what it has, at most `wanted`: 0 to `wanted` requests that may leave."""
    with transaction.atomic():
        granted, bucket = _locked(limit).take(limit, wanted)
        Pace.objects.filter(pk=limit.key).update(
            credit=bucket.credit, asked_at=bucket.asked_at, busy_since=bucket.busy_since
        )
    return granted


def heed(application_pk: int, push_service: PushService, outcome: PushOutcome) -> None:
    """Slow the lane down where the service says that it is too fast.

    Apple's 429 is about one device or about our token, WNS and Web Push name a single origin, which then waits.
    """
    if outcome.http_status == 429 and push_service is PushService.FCM:
        slow_down(application_pk, push_service)


def slow_down(application_pk: int, push_service: PushService) -> None:
    """Halve what the lane may send, once for all answers of one moment; without a limit there is nothing to halve."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_pace SET slowed_at = now(), share = greatest(%(least)s, 0.5 * least(1, share + "
            "%(recovery)s * extract(epoch FROM now() - slowed_at)::float)) "
            "WHERE key = %(key)s AND (share = 1 OR slowed_at < now() - make_interval(secs => %(once)s))",
            {
                "least": _LEAST_SHARE,
                "recovery": _RECOVERY_PER_S,
                "key": lane_key(application_pk, push_service),
                "once": _SLOW_DOWN_ONCE_S,
            },
        )


_READ = (
    "SELECT credit, asked_at, busy_since, share, slowed_at, clock_timestamp() "
    "FROM messaging_pace WHERE key = %s FOR UPDATE"
)


def _locked(limit: Limit) -> Bucket:
    """The bucket, made on first use: full, at the beginning of its ramp."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, [limit.key])
        row = cursor.fetchone()
        if row is None:
            _create(limit)
            cursor.execute(_READ, [limit.key])
            row = cursor.fetchone()
    credit, asked_at, busy_since, share, slowed_at, now = row
    return Bucket(credit=credit, asked_at=asked_at, busy_since=busy_since, share=share, slowed_at=slowed_at, now=now)


def _create(limit: Limit) -> None:
    """Insert the row unless another drain was faster; forget the buckets of messages that ended long ago."""
    floor = RAMP_FLOOR_PER_SECOND if limit.has_ramp else limit.per_second
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM messaging_pace WHERE asked_at < now() - interval '1 day'")
        cursor.execute(
            "INSERT INTO messaging_pace (key, credit, asked_at, busy_since, share, slowed_at) "
            "VALUES (%s, %s, now(), now(), 1, now()) ON CONFLICT (key) DO NOTHING",
            [limit.key, max(1.0, min(floor, limit.per_second) * BURST_S)],
        )
