"""Pages for requests that cannot be carried out."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The form came without its token: mostly a page left open while somebody signed in again."""
    return render(request, "403_csrf.html", status=403)


def server_error(request: HttpRequest) -> HttpResponse:
    """A fault of ours; while the database is away 503, which whoever polls this page survives."""
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        response = _plain("503.html", status=503)
        response["Retry-After"] = "5"
        return response
    return _plain("500.html", status=500)


def _plain(template: str, *, status: int) -> HttpResponse:
    """Without context processors: they ask the database, or whatever else has just failed."""
    return HttpResponse(loader.get_template(template).render(), status=status)
