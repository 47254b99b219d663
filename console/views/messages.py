"""Messages: the list, the status page with its moving part, cancelling."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import HttpResponseStopPolling

from console import audit
from console.access import application_view
from console.exports import delivery_lines
from console.htmx import ConsoleRequest, render_page_or_partial
from console.pages_deliveries import DeliveryFilter, delivery_page
from console.pages_message import (
    looks_and_payloads,
    may_cancel,
    may_clone,
    may_edit,
    shown_occurrence,
    timeline_of,
)
from console.pages_messages import StatusFilter, message_list
from console.pages_progress import firings_of, progress_of, samples_of
from console.query import choice_of, number_of
from devices.push_services import PushService
from messaging.errors import CannotCancel
from messaging.models import DeliveryOutcome, Message, Occurrence
from messaging.publishing import cancel
from messaging.rendering import body_text

#: what the filter of the device table calls those without an outcome
WAITING = "waiting"


@require_GET
@application_view
def list_messages(request: ConsoleRequest) -> HttpResponse:
    """The newest messages, by status and search."""
    status = choice_of(StatusFilter, request.GET.get("status")) or StatusFilter.ALL
    search = request.GET.get("q", "").strip()[:100].replace("\x00", "")
    return render_page_or_partial(
        request,
        "console/message_list.html",
        "console/partials/_message_rows.html",
        {
            "page": message_list(request.application, status, search, number_of(request.GET.get("before"))),
            "status": status,
            "statuses": list(StatusFilter),  # a template would call the class
            "search": search,
            "query": urlencode({"status": status.value, "q": search}),
        },
    )


@require_GET
@application_view
def show_message(request: ConsoleRequest, message_id: UUID) -> HttpResponse:
    """Everything about one message."""
    message, occurrence = looked_up(request, message_id)
    frames, payloads = looks_and_payloads(message, request.application)
    context = {
        "message": message,
        "text": body_text(message.body),
        "may_cancel": may_cancel(message),
        "may_edit": may_edit(message, occurrence),
        "may_clone": may_clone(message),
        "frames": frames,
        "payloads": payloads,
        "firings": firings_of(message),
    }
    if occurrence is not None:
        context |= {
            "progress": progress_of(message, occurrence, request.application, samples_of(request.GET.get("seen"))),
            "timeline": timeline_of(message, occurrence, request.application),
        } | _deliveries(request, occurrence)
    return render(request, "console/message.html", context)


@require_GET
@application_view
def show_progress(request: ConsoleRequest, message_id: UUID) -> HttpResponse:
    """The moving part; status 286 tells htmx that nothing will move any more."""
    message, occurrence = looked_up(request, message_id)
    if occurrence is None:
        return HttpResponseStopPolling()
    progress = progress_of(message, occurrence, request.application, samples_of(request.GET.get("seen")))
    context: dict[str, object] = {"progress": progress, "message": message, "may_cancel": may_cancel(message)}
    context |= {"may_edit": may_edit(message, occurrence), "may_clone": may_clone(message)}
    if request.GET.get("was") != progress.state.word:  # the buttons and the timeline are others now
        context |= {"is_live": True, "timeline": timeline_of(message, occurrence, request.application)}
    response = render(request, "console/partials/_progress.html", context)
    if progress.is_over:
        response.status_code = HttpResponseStopPolling.status_code
    return response


@require_GET
@application_view
def list_deliveries(request: ConsoleRequest, message_id: UUID) -> HttpResponse:
    """The table of devices, filtered."""
    message, occurrence = looked_up(request, message_id)
    if not request.htmx:
        target = redirect("message", request.application.application_id, message_id)
        target["Location"] += f"?{request.GET.urlencode()}#devices"
        return target
    context: dict[str, object] = {"message": message}
    if occurrence is not None:
        context |= _deliveries(request, occurrence)
    return render(request, "console/partials/_deliveries.html", context)


@require_GET
@application_view
def export_deliveries(request: ConsoleRequest, message_id: UUID) -> StreamingHttpResponse:
    """All devices that the filter of the table lets through, as a file."""
    message, occurrence = looked_up(request, message_id)
    if occurrence is None:
        raise Http404
    audit.record(request, "message.export", message.wire_id, application=request.application, after=request.GET.dict())
    wanted = replace(_wanted(request), after=0, batch=0)
    lines = delivery_lines(request.application, occurrence, wanted)
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    firing = f"{occurrence.n}-{occurrence.retry_no}"
    response.headers["Content-Disposition"] = f'attachment; filename="devices-{message_id}-{firing}.csv"'
    return response


@require_GET
@application_view
def confirm_cancel(request: ConsoleRequest, message_id: UUID) -> HttpResponse:
    """Ask before cancelling, with what it would stop."""
    message, occurrence = looked_up(request, message_id)
    progress = progress_of(message, occurrence, request.application) if occurrence is not None else None
    return render(
        request, "console/cancel.html", {"message": message, "text": body_text(message.body), "progress": progress}
    )


@require_POST
@application_view
def cancel_message(request: ConsoleRequest, message_id: UUID) -> HttpResponse:
    """Cancel, and record who did."""
    if not request.may_send:
        raise PermissionDenied
    message, _ = looked_up(request, message_id)
    try:
        with transaction.atomic():
            before = message.status
            cancel(message)
            audit.record(
                request,
                "message.cancel",
                message.wire_id,
                application=request.application,
                before={"status": before},
                after={"status": message.status},
            )
    except CannotCancel:
        messages.warning(request, "It was already over, so there was nothing to cancel.")
    return to_message(request, message_id)


def looked_up(request: ConsoleRequest, message_id: UUID) -> tuple[Message, Occurrence | None]:
    """The message of the address and the firing it names (`n`, `retry`), else the latest. Raises Http404."""
    found = Message.objects.select_related("author", "api_key", "channel")
    message = get_object_or_404(found, application=request.application, message_id=message_id)
    named = request.POST if request.method == "POST" else request.GET
    return message, shown_occurrence(message, number_of(named.get("n")), number_of(named.get("retry")) or 0)


def to_message(request: ConsoleRequest, message_id: UUID, occurrence: Occurrence | None = None) -> HttpResponse:
    """Back to the page of the message, and to one of its firings."""
    target = redirect("message", request.application.application_id, message_id)
    if occurrence is not None:
        target["Location"] += f"?{urlencode({'n': occurrence.n, 'retry': occurrence.retry_no})}"
    return target


def _wanted(request: ConsoleRequest) -> DeliveryFilter:
    return DeliveryFilter(
        search=request.GET.get("device", "").strip()[:255].replace("\x00", ""),
        outcome=choice_of(DeliveryOutcome, request.GET.get("outcome")),
        reason=request.GET.get("reason", "")[:64].replace("\x00", ""),
        push_service=choice_of(PushService, request.GET.get("service")),
        is_waiting=request.GET.get("outcome") == WAITING,
        after=number_of(request.GET.get("after")) or 0,
        batch=number_of(request.GET.get("batch")) or 0,
    )


def _deliveries(request: ConsoleRequest, occurrence: Occurrence) -> dict[str, object]:
    wanted = _wanted(request)
    query = {
        "n": occurrence.n,
        "retry": occurrence.retry_no,
        "device": wanted.search,
        "outcome": WAITING if wanted.is_waiting else wanted.outcome or "",
        "reason": wanted.reason,
        "service": wanted.push_service or "",
    }
    deliveries = delivery_page(request.application, occurrence, wanted)
    return {
        "deliveries": deliveries,
        "absent": None
        if deliveries.rows
        else request.application.registrations.filter(device_id=wanted.search).first(),
        "wanted": wanted,
        "occurrence": occurrence,
        "outcomes": DeliveryOutcome,
        "delivery_query": urlencode(query),
        "is_moving": occurrence.closed_at is None and occurrence.claimed_at is not None and not wanted.after,
    }
