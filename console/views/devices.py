"""Devices of an application."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpResponse
from django.views.decorators.http import require_GET

from console.access import application_view
from console.htmx import ConsoleRequest, render_page_or_partial
from console.pages_devices import DeviceFilter, device_page
from console.query import choice_of, number_of
from devices.models import RegistrationState
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
