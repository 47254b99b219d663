"""Whether Clarion can do its work, for monitors and load balancers."""

from __future__ import annotations

from django.db import Error as DatabaseError
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from messaging import database
from messaging.heartbeat import DEAD_AFTER
from messaging.models import WorkerGroup

#: kinds of processes without which nothing is sent
_NEEDED = ("ticker", "workers")


@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 when the database answers and somebody sends, else 503 with what is missing.

    With `?live` 200 whenever this process answers: a restart would not bring the database back.
    """
    if "live" in request.GET:
        return _answer([], {})
    try:
        ages = _youngest_ages()
    except DatabaseError:
        return _answer(["database"], {"database": "unreachable"})
    missing = [kind for kind, age_s in ages.items() if age_s is None or age_s >= DEAD_AFTER.total_seconds()]
    return _answer(missing, {"database": "ok", "seconds_since_heartbeat": ages})


def _youngest_ages() -> dict[str, float | None]:
    """Seconds since the last sign of life of any process of a kind; None when there is none."""
    now = database.now()
    ages: dict[str, list[float]] = {kind: [] for kind in _NEEDED}
    for kind, seen_at in WorkerGroup.objects.filter(kind__in=_NEEDED).values_list("kind", "seen_at"):
        ages[kind].append(round((now - seen_at).total_seconds(), 1))
    return {kind: min(found, default=None) for kind, found in ages.items()}


def _answer(missing: list[str], facts: dict[str, object]) -> JsonResponse:
    content: dict[str, object] = {"status": "failing" if missing else "ok", "missing": missing, **facts}
    return JsonResponse(content, status=503 if missing else 200, headers={"Cache-Control": "no-store"})
