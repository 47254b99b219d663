"""The REST API's document: as JSON for tools, as a page for people."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from console.access import applications_of
from console.pages_api_docs import groups
from devices.models import Application
from messaging.api.openapi import document


@require_safe
def openapi_json(request: HttpRequest) -> HttpResponse:
    """The document, for anybody: it holds nothing that the source code does not."""
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=300"}
    return JsonResponse(document(settings.VERSION, settings.PUBLIC_URL), headers=headers)


@require_safe
def api_docs(request: HttpRequest) -> HttpResponse:
    """The same to read, with calls to copy."""
    found = groups(document(settings.VERSION, settings.PUBLIC_URL))
    application = _application(request)
    request.application = application  # type: ignore[attr-defined]  # the frame shows its sections
    api_id = str(application.application_id).upper() if application is not None else "APPLICATION-ID"
    context = {"groups": found, "public_url": settings.PUBLIC_URL, "api_id": api_id}
    return render(request, "console/api_docs.html", context)


def _application(request: HttpRequest) -> Application | None:
    """The one named in the address, for people who may open it; the page itself is for anybody."""
    try:
        wanted = UUID(request.GET.get("application", ""))
    except ValueError:
        return None
    return applications_of(request.user).filter(application_id=wanted).first()
