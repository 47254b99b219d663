"""The bell: names every background job and rings for it. The only file that calls django-q2.

A job carries integer ids and may run twice or never: what is to do stands in our own tables, and the ticker rings
again for whatever is still open.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.tasks import async_task

TICKER_CHANNEL = "clarion_ticker"

DRAIN = "messaging.jobs.drain"
BEAT = "messaging.jobs.beat"
EXPIRE_REGISTRATIONS = "devices.jobs.expire_registrations"
KEEP_HOUSE = "messaging.jobs.keep_house"

#: a drain ends by itself after 36 s, but while PostgreSQL is away it keeps the answers it has; one that hangs is ended
#: by its alarm (`messaging.jobs`)
_DRAIN_TIMEOUT_S = 3600

#: minutes between runs of the housekeeping jobs, rows of django-q2's Schedule, visible in the admin
HOUSEKEEPING_MINUTES = {EXPIRE_REGISTRATIONS: 1, KEEP_HOUSE: 60}


def ring_ticker() -> None:
    """Wake the tickers when the surrounding transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [TICKER_CHANNEL])


def ring_drain() -> None:
    """Have one more worker plan and send whatever is open."""
    async_task(DRAIN, timeout=_DRAIN_TIMEOUT_S)


def ring_beat(worker_group: str) -> None:
    """Have `worker_group`, and no other, prove that it still runs jobs."""
    async_task(BEAT, worker_group, q_options={"cluster": worker_group})


def waiting_jobs(queue_name: str) -> int:
    """Jobs in a queue that no worker has taken."""
    return int(OrmQ.objects.filter(key=queue_name, lock__lte=timezone.now()).count())


def forget_stale_jobs() -> None:
    """Remove what nobody will ever run: heartbeats of groups that are gone wait in queues of their own."""
    OrmQ.objects.filter(lock__lt=timezone.now() - timedelta(days=1)).delete()


def ensure_periodic_jobs() -> None:
    """Create the schedule rows of the housekeeping jobs; leaves existing ones as an operator set them."""
    for name, minutes in HOUSEKEEPING_MINUTES.items():
        Schedule.objects.get_or_create(
            func=name,
            defaults={
                "name": name.rpartition(".")[2].replace("_", " "),
                "schedule_type": Schedule.MINUTES,
                "minutes": minutes,
                "next_run": timezone.now() + timedelta(minutes=1),
            },
        )
