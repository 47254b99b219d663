"""Pages for requests that cannot be carried out."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The form came without its token: mostly a page left open while somebody signed in again."""
    return render(request, "403_csrf.html", status=403)
