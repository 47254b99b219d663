"""A console request, and the one choice htmx adds to a view: the whole page or the part that changes."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django_htmx.middleware import HtmxDetails

from devices.models import Application


class ConsoleRequest(HttpRequest):
    """A request that `access.application_view` has let through."""

    htmx: HtmxDetails
    user: User
    application: Application
    may_send: bool


def render_page_or_partial(request: HttpRequest, page: str, partial: str, context: dict[str, Any]) -> HttpResponse:
    """Render `partial` for htmx, `page` (which includes it, with the same context) otherwise."""
    is_fragment = bool(request.htmx) and not request.htmx.history_restore_request  # type: ignore[attr-defined]
    response = render(request, partial if is_fragment else page, context)
    response.headers["Vary"] = "HX-Request"  # a browser must not take a cached fragment for the page
    return response
