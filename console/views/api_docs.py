"""The REST API's document: as JSON for tools, as a page for people."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from console.pages_api_docs import groups
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
    return render(request, "console/api_docs.html", {"groups": found, "public_url": settings.PUBLIC_URL})
