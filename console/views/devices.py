"""Devices of an application."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from console import audit
from console.access import application_view
from console.htmx import ConsoleRequest, render_page_or_partial
from console.pages_device import device_history
from console.pages_devices import DeviceFilter, device_counts, device_page
from console.query import choice_of, number_of
from devices.models import DeviceRegistration, RegistrationState
from devices.push_services import Os


@require_GET
@application_view
def list_devices(request: ConsoleRequest) -> HttpResponse:
    """Registrations with state and channels, by device id or user id."""
    wanted = DeviceFilter(
        search=request.GET.get("q", "").strip()[:255].replace("\x00", ""),
        os=choice_of(Os, request.GET.get("os")),
        state=choice_of(RegistrationState, request.GET.get("state")),
        channel=request.GET.get("channel", "")[:128].replace("\x00", ""),
        after=number_of(request.GET.get("after")) or 0,
    )
    query = {"q": wanted.search, "os": wanted.os or "", "state": wanted.state or "", "channel": wanted.channel}
    return render_page_or_partial(
        request,
        "console/device_list.html",
        "console/partials/_device_rows.html",
        {
            "page": device_page(request.application, wanted),
            "wanted": wanted,
            "oses": Os,
            "states": RegistrationState,
            "channels": request.application.channels.order_by("name")[:200],
            "query": urlencode(query),
        },
    )


@require_GET
@application_view
def count_devices(request: ConsoleRequest) -> HttpResponse:
    """How many there are: asked for by the page once it is shown."""
    return render(request, "console/partials/_device_counts.html", {"counts": device_counts(request.application)})


@require_GET
@application_view
def show_device(request: ConsoleRequest, registration_pk: int) -> HttpResponse:
    """One device: its registration, and what became of the latest messages on it."""
    device = get_object_or_404(DeviceRegistration, application=request.application, pk=registration_pk)
    context = {
        "device": device,
        "channels": device.channels.order_by("name").values_list("name", flat=True),
        "history": device_history(request.application, device, number_of(request.GET.get("before"))),
    }
    return render(request, "console/device.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@application_view
def deactivate(request: ConsoleRequest, registration_pk: int) -> HttpResponse:
    """Ask for the reason, then send nothing more to a device until its app registers again."""
    device = get_object_or_404(DeviceRegistration, application=request.application, pk=registration_pk)
    reason = request.POST.get("reason", "").replace("\x00", "").strip()[:64]
    if request.method != "POST" or not reason:
        context = {"device": device, "error": "Say why." if request.method == "POST" else ""}
        return render(request, "console/deactivate.html", context)
    if not request.may_send:
        raise PermissionDenied
    with transaction.atomic():
        active = DeviceRegistration.objects.filter(pk=device.pk, state=RegistrationState.ACTIVE)
        if active.update(state=RegistrationState.GONE, gone_reason=reason, gone_at=Now()):
            audit.record(
                request,
                "device.deactivate",
                device.device_id,
                application=request.application,
                before={"state": device.state},
                after={"state": RegistrationState.GONE, "because": reason},
            )
    messages.success(request, f"{device.device_id} gets nothing more until its app registers again.")
    return redirect("device_list", request.application.application_id)
