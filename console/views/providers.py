"""Push services of an application: credentials, lanes, and opening a lane that was paused."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from console import audit
from console.access import application_view
from console.htmx import ConsoleRequest
from console.pages import workers_view
from console.pages_devices import provider_views
from messaging import lanes
from messaging.models import Lane


@require_GET
@application_view
def list_providers(request: ConsoleRequest) -> HttpResponse:
    """Every push service, set up or not."""
    context = {"providers": provider_views(request.application), "workers": workers_view(request.application)}
    return render(request, "console/providers.html", context)


@require_POST
@application_view
def resume_lane(request: ConsoleRequest, lane_id: int) -> HttpResponse:
    """Let requests leave again, and record who said so."""
    if not request.may_send:
        raise PermissionDenied
    lane = get_object_or_404(Lane, application=request.application, pk=lane_id)
    with transaction.atomic():
        lanes.resume(lane)
        audit.record(
            request,
            "lane.resume",
            str(lane),
            application=request.application,
            before={"state": lane.state, "because": lane.paused_because},
            after={"state": "open"},
        )
    messages.success(request, f"{lane} is open again. Waiting devices are sent now.")
    return redirect("providers", request.application.application_id)
