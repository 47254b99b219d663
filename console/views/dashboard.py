"""The overview of an application."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_GET

from console.access import application_view
from console.htmx import ConsoleRequest, render_page_or_partial
from console.pages_compose import as_curl
from console.pages_dashboard import dashboard
from messaging.publishing import PublishRequest

_FIRST_CALL = PublishRequest(channel_name="default", body="Hello", headers={"android-content-title": "Hello"})


@require_GET
@application_view
def overview(request: ConsoleRequest) -> HttpResponse:
    """The page, or its moving part when htmx polls."""
    return render_page_or_partial(
        request,
        "console/dashboard.html",
        "console/partials/_dashboard_live.html",
        {"page": dashboard(request.application), "first_call": as_curl(_FIRST_CALL, request.application)},
    )
