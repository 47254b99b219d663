"""Whether Clarion can do its work, for monitors and load balancers."""

from __future__ import annotations

from django.db import Error as DatabaseError
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from messaging import database
from messaging.heartbeat import DEAD_AFTER
from messaging.models import WorkerGroup


@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 when the database answers and somebody sends, else 503. Ages in seconds since the last sign of life."""
    try:
        now = database.now()
        ages: dict[str, list[float]] = {"ticker": [], "workers": []}
        for group in WorkerGroup.objects.all():
            ages.setdefault(group.kind, []).append(round((now - group.seen_at).total_seconds(), 1))
    except DatabaseError:
        return _answer(503, {"database": "unreachable"})
    youngest = {kind: min(found, default=None) for kind, found in ages.items()}
    is_sending = all(age is not None and age < DEAD_AFTER.total_seconds() for age in youngest.values())
    return _answer(200 if is_sending else 503, {"database": "ok", "seconds_since_heartbeat": youngest})


def _answer(status: int, facts: dict[str, object]) -> JsonResponse:
    word = "ok" if status == 200 else "failing"
    return JsonResponse({"status": word, **facts}, status=status, headers={"Cache-Control": "no-store"})
