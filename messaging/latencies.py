"""How long firings took, counted as they end: histograms that only grow, as monitors expect of them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from messaging.models import LatencyCount

# One row a bucket, locked until the end of the transaction: to be written last
_ADD = """
INSERT INTO messaging_latencycount AS c (latency, bucket, firings, seconds)
VALUES (%s, %s, 1, %s), (%s, %s, 1, %s)
ON CONFLICT (latency, bucket) DO UPDATE SET firings = c.firings + 1, seconds = c.seconds + excluded.seconds
"""


@dataclass(frozen=True, slots=True)
class Latency:
    """A stretch of time of a firing, in seconds."""

    name: str
    bounds: tuple[float, ...]  #: upper ones of the buckets; one more bucket holds what is above all

    def bucket(self, seconds: float) -> int:
        """The bucket whose bound is the least that is not below."""
        return bisect_left(self.bounds, seconds)


@dataclass(frozen=True, slots=True)
class Count:
    """What fell into one bucket."""

    firings: int = 0
    seconds: float = 0.0


#: from due to the first request
START = Latency("start_lag", (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0))
#: from due to the last outcome
FINISH = Latency("finish", (1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0))


def count_firing(due_at: datetime, first_request_at: datetime, last_outcome_at: datetime) -> None:
    """Count a firing that has ended; in the transaction that ends it, at its end."""
    start, finish = (moment - due_at for moment in (first_request_at, last_outcome_at))
    parameters: list[str | int | float] = []
    for latency, lasted in ((FINISH, finish), (START, start)):  # in the same order in every transaction
        seconds = lasted.total_seconds()
        parameters += [latency.name, latency.bucket(seconds), seconds]
    with connection.cursor() as cursor:
        cursor.execute(_ADD, parameters)


def counted(latency: Latency) -> list[Count]:
    """What fell into each bucket since Clarion was set up."""
    rows = LatencyCount.objects.filter(latency=latency.name).values_list("bucket", "firings", "seconds")
    counts = {bucket: Count(firings, seconds) for bucket, firings, seconds in rows}
    return [counts.get(bucket, Count()) for bucket in range(len(latency.bounds) + 1)]
