"""The first page: into the first application a person can reach."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from console.access import applications_of, to_login


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Redirect to an application, or say how to get one."""
    if not request.user.is_authenticated:
        return to_login(request)
    application = applications_of(request.user).first()
    if application is None:
        return render(request, "console/no_application.html")
    return redirect("dashboard", application.application_id)
