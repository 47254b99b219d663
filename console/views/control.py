"""Steer a firing from its page: pause, resume, stop, retry. What cannot be done is said on the page."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from console import audit
from console.access import application_view
from console.htmx import ConsoleRequest
from console.pages_progress import progress_of
from console.query import choice_of
from console.views.messages import looked_up, to_message
from devices.errors import ApiError
from devices.push_services import PushService
from messaging import control
from messaging.control import FailureKind
from messaging.models import DeliveryOutcome, Message, Occurrence
from messaging.rendering import body_text


@require_POST
@application_view
def pause(request: ConsoleRequest, message_id: UUID) -> HttpResponse:
    """Let nothing more leave until somebody resumes it."""
    return _steer(request, message_id, "message.pause", control.pause)


@require_POST
@application_view
def resume(request: ConsoleRequest, message_id: UUID) -> HttpResponse:
    """Go on where it was paused."""
    return _steer(request, message_id, "message.resume", control.resume)


@require_POST
@application_view
def stop(request: ConsoleRequest, message_id: UUID) -> HttpResponse:
    """End this firing; a series goes on with its next one."""
    return _steer(request, message_id, "message.stop", control.stop)


@require_GET
@application_view
def confirm_stop(request: ConsoleRequest, message_id: UUID) -> HttpResponse:
    """Ask before stopping, with what it would leave out."""
    message, occurrence = looked_up(request, message_id)
    if occurrence is None:
        raise Http404
    context = {
        "message": message,
        "text": body_text(message.body),
        "progress": progress_of(message, occurrence, request.application),
    }
    return render(request, "console/stop.html", context)


@require_POST
@application_view
def retry(request: ConsoleRequest, message_id: UUID) -> HttpResponse:
    """Send again to the devices that failed: all, or those of the failure group in the form."""
    message, occurrence = _to_steer(request, message_id)
    kinds = _kinds(request)
    try:
        with transaction.atomic():
            again = control.retry_failed(occurrence, kinds)
            _record(request, message, occurrence, "message.retry", {"kinds": [_words(kind) for kind in kinds]})
    except ApiError as error:
        messages.warning(request, error.message)
        return to_message(request, message_id, occurrence)
    messages.success(request, "The devices below are tried again.")
    return to_message(request, message_id, again)


def _steer(
    request: ConsoleRequest, message_id: UUID, action: str, change: Callable[[Occurrence], None]
) -> HttpResponse:
    message, occurrence = _to_steer(request, message_id)
    try:
        with transaction.atomic():
            change(occurrence)
            _record(request, message, occurrence, action, {})
    except ApiError as error:
        messages.warning(request, error.message)
    return to_message(request, message_id, occurrence)


def _to_steer(request: ConsoleRequest, message_id: UUID) -> tuple[Message, Occurrence]:
    if not request.may_send:
        raise PermissionDenied
    message, occurrence = looked_up(request, message_id)
    if occurrence is None:
        raise Http404
    return message, occurrence


def _record(
    request: ConsoleRequest, message: Message, occurrence: Occurrence, action: str, more: dict[str, object]
) -> None:
    audit.record(
        request,
        action,
        message.wire_id,
        application=request.application,
        before={"state": occurrence.state, "paused": occurrence.paused_at is not None},
        after={"firing": occurrence.n, "retry": occurrence.retry_no, **more},
    )


def _kinds(request: ConsoleRequest) -> list[FailureKind]:
    """The failure group of the form; none for "all that failed"."""
    service = choice_of(PushService, request.POST.get("service"))
    outcome = choice_of(DeliveryOutcome, request.POST.get("outcome"))
    if service is None or outcome is None:
        return []
    return [FailureKind(push_service=service, outcome=outcome, reason=request.POST.get("reason", "")[:64])]


def _words(kind: FailureKind) -> str:
    return f"{kind.push_service.value} {kind.outcome.value} {kind.reason}".strip()
