"""What people did in an application."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from console.access import application_view
from console.htmx import ConsoleRequest
from console.pages_audit import audit_page
from console.query import number_of


@require_GET
@application_view
def list_activity(request: ConsoleRequest) -> HttpResponse:
    """The record, for everybody who may open the application."""
    search = request.GET.get("q", "").strip()[:255].replace("\x00", "")
    page = audit_page(request.application, search=search, before=number_of(request.GET.get("before")))
    context = {"page": page, "search": search, "query": urlencode({"q": search})}
    return render(request, "console/activity.html", context)
