"""API keys of an application: made, shown once, revoked. Only by administrators."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from console import audit
from console.access import application_view
from console.form_provider import ApiKeyForm, dressed
from console.htmx import ConsoleRequest
from devices import api_keys
from devices.models import ClientType

_SHOWN = 200


@require_http_methods(["GET", "HEAD", "POST"])
@application_view
def list_keys(request: ConsoleRequest) -> HttpResponse:
    """The keys; posted, a new one, which this answer alone shows."""
    _only_administrators(request)
    form = dressed(ApiKeyForm(request.POST if request.method == "POST" else None))
    new_key = ""
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            row, new_key = api_keys.create_api_key(
                request.application,
                form.cleaned_data["label"],
                ClientType(form.cleaned_data["client_type"]),
                form.permissions(),
            )
            after = {name: getattr(row, name) for name in form.fields}
            audit.record(request, "api_key.create", str(row), application=request.application, after=after)
        form = dressed(ApiKeyForm())
    keys = list(request.application.api_keys.order_by("revoked_at", "-id")[:_SHOWN])
    return render(request, "console/keys.html", {"form": form, "new_key": new_key, "keys": keys})


@require_http_methods(["GET", "HEAD", "POST"])
@application_view
def revoke_key(request: ConsoleRequest, key_id: int) -> HttpResponse:
    """Ask, then refuse the key from now on; other processes follow within five seconds."""
    _only_administrators(request)
    api_key = get_object_or_404(request.application.api_keys, pk=key_id)
    if request.method != "POST":
        return render(request, "console/revoke.html", {"api_key": api_key})
    with transaction.atomic():
        api_keys.revoke(api_key)
        audit.record(request, "api_key.revoke", str(api_key), application=request.application)
    messages.success(request, f"{api_key} is revoked. Calls with it are refused within five seconds.")
    return redirect("keys", request.application.application_id)


def _only_administrators(request: ConsoleRequest) -> None:
    if not request.user.is_superuser:
        raise PermissionDenied
