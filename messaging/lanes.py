"""The roads requests take: open, throttled until a time, or paused for a reason. Kept in the database, so a restart
does not forget that a credential is refused or that a service asked to wait."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection
from django.db.models.functions import Now

from devices.push_services import PushService
from messaging import queue
from messaging.models import Lane, LaneState

#: a paused origin is looked at again after this long; its devices stay pending
PAUSED_LOOK_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """What a sender needs to know of one lane."""

    state: LaneState
    wait_s: float  #: until it may be tried again


def statuses(application_pk: int, push_service: PushService) -> dict[str, LaneStatus]:
    """Lanes of single origins that are not open; a throttle whose time has passed is open."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT origin, state, extract(epoch FROM throttled_until - now())::float FROM messaging_lane "
            "WHERE application_id = %s AND push_service = %s AND origin <> '' "
            "AND (state = 'paused' OR (state = 'throttled' AND throttled_until > now()))",
            [application_pk, push_service.value],
        )
        return {
            origin: LaneStatus(LaneState(state), wait_s if wait_s is not None else PAUSED_LOOK_AGAIN_S)
            for origin, state, wait_s in cursor.fetchall()
        }


def closed_among(of: Iterable[tuple[int, PushService]]) -> set[tuple[int, PushService]]:
    """Those of the lanes (application, push service) that are paused or throttled as a whole."""
    pairs = list(of)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.application_id, l.push_service FROM messaging_lane l "
            "JOIN unnest(%s::bigint[], %s::text[]) AS held(application_id, push_service) "
            "USING (application_id, push_service) WHERE l.origin = '' "
            "AND (l.state = 'paused' OR (l.state = 'throttled' AND l.throttled_until > now()))",
            [[pk for pk, _ in pairs], [service.value for _, service in pairs]],
        )
        return {(pk, PushService(service)) for pk, service in cursor.fetchall()}


def pause(application_pk: int, push_service: PushService, reason: str, *, origin: str = "") -> None:
    """Stop the lane until somebody resumes it. Its devices stay pending, none is deactivated."""
    lane = _lane(application_pk, push_service, origin)
    Lane.objects.filter(pk=lane.pk).exclude(state=LaneState.PAUSED).update(
        state=LaneState.PAUSED, paused_because=reason, throttled_until=None, since=Now()
    )


def throttle(application_pk: int, push_service: PushService, seconds: float, *, origin: str = "") -> None:
    """Let nothing leave for `seconds`; never shortens a longer wait, never lifts a pause."""
    lane = _lane(application_pk, push_service, origin)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messaging_lane SET state = 'throttled', since = now(), "
            "throttled_until = greatest(coalesce(throttled_until, now()), now() + make_interval(secs => %s)) "
            "WHERE id = %s AND state <> 'paused'",
            [seconds, lane.pk],
        )


def resume(lane: Lane) -> None:
    """Open the lane again and have its waiting batches sent."""
    Lane.objects.filter(pk=lane.pk).update(state=LaneState.OPEN, paused_because="", throttled_until=None, since=Now())
    queue.ring_ticker()


def note_answers(
    application_pk: int, push_service: PushService, *, origin: str = "", accepted: bool, failure: str
) -> None:
    """Remember when the lane last worked and last failed, for the provider lights and the drop guard."""
    lane = _lane(application_pk, push_service, origin)
    changes: dict[str, object] = {}
    if accepted:
        changes["last_accepted_at"] = Now()
    if failure:
        changes |= {"last_failed_at": Now(), "last_failure": failure[:64]}
    if changes:
        Lane.objects.filter(pk=lane.pk).update(**changes)


def _lane(application_pk: int, push_service: PushService, origin: str) -> Lane:
    lane, _ = Lane.objects.get_or_create(application_id=application_pk, push_service=push_service, origin=origin)
    return lane
