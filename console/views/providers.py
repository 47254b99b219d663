"""Push services of an application: their credentials, whether these work, and the lanes requests take."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console import audit
from console.access import application_view
from console.form_provider import CredentialForm, credential_form
from console.htmx import ConsoleRequest
from console.pages import workers_view
from console.pages_devices import provider_views
from console.query import choice_of, number_of
from devices.push_services import PushService
from messaging import lanes
from messaging.credential_check import check_credential
from messaging.models import Lane
from messaging.providers.credentials import InvalidCredential
from messaging.secrets import store_credential

_FASTEST = 1_000_000


@require_GET
@application_view
def list_providers(request: ConsoleRequest) -> HttpResponse:
    """Every push service, set up or not."""
    context = {"providers": provider_views(request.application), "workers": workers_view(request.application)}
    return render(request, "console/providers.html", context)


@require_POST
@application_view
def resume_lane(request: ConsoleRequest, lane_id: int) -> HttpResponse:
    """Let requests leave again, and record who said so."""
    _only_senders(request)
    lane = get_object_or_404(Lane, application=request.application, pk=lane_id)
    with transaction.atomic():
        lanes.resume(lane)
        before = {"state": lane.state, "because": lane.paused_because}
        _record(request, "lane.resume", str(lane), before=before, after={"state": "open"})
    messages.success(request, f"{lane} is open again. Waiting devices are sent now.")
    return _to_providers(request)


@require_POST
@application_view
def pause_lane(request: ConsoleRequest, service: str) -> HttpResponse:
    """Let nothing leave through a push service until somebody resumes it; its devices stay pending."""
    _only_senders(request)
    push_service = _service(service)
    reason = request.POST.get("reason", "").replace("\x00", "").strip()[:200]
    if not reason:
        messages.error(request, f"Say why {push_service.label} is paused: others will wonder.")
        return _to_providers(request)
    with transaction.atomic():
        lanes.pause(request.application.pk, push_service, f"{reason} ({request.user.get_username()})")
        _record(request, "lane.pause", push_service.label, after={"because": reason})
    messages.success(request, f"{push_service.label} is paused. Its devices stay pending.")
    return _to_providers(request)


@require_POST
@application_view
def set_pace(request: ConsoleRequest, service: str) -> HttpResponse:
    """Bound the requests a second of a push service; empty means the service's own quota."""
    _only_senders(request)
    push_service = _service(service)
    typed = request.POST.get("requests_per_second", "").strip()
    pace = number_of(typed)
    if typed and (pace is None or pace > _FASTEST):
        messages.error(request, f"Requests a second: a whole number up to {_FASTEST:,}, or empty.")
        return _to_providers(request)
    with transaction.atomic():
        lane, _ = Lane.objects.get_or_create(application=request.application, push_service=push_service, origin="")
        Lane.objects.filter(pk=lane.pk).update(requests_per_second=pace)
        before = {"requests_per_second": lane.requests_per_second}
        _record(request, "lane.pace", push_service.label, before=before, after={"requests_per_second": pace})
    messages.success(request, f"{push_service.label}: {_pace_words(pace)}.")
    return _to_providers(request)


@require_POST
@application_view
def check(request: ConsoleRequest, service: str) -> HttpResponse:
    """Ask the push service whether the stored credential works; no device gets anything."""
    _only_senders(request)
    push_service = _service(service)
    row = get_object_or_404(request.application.credentials, push_service=push_service)
    result = check_credential(row)
    _record(request, "credential.check", push_service.label, after={"ok": result.ok, "detail": result.detail})
    say = messages.success if result.ok else messages.error
    say(request, f"{push_service.label}: {result.detail}")
    return _to_providers(request)


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@application_view
def set_credential(request: ConsoleRequest, service: str) -> HttpResponse:
    """Add or replace a credential. Only administrators: with it one can send as the app."""
    if not request.user.is_superuser:
        raise PermissionDenied
    push_service = _service(service)
    row = request.application.credentials.filter(push_service=push_service).first()
    form = credential_form(push_service, request.POST if request.method == "POST" else None, row.facts if row else None)
    if request.method == "POST" and form.is_valid() and _store(request, push_service, form):
        messages.success(request, f"The {push_service.label} credential was stored. Check whether it works.")
        return _to_providers(request)
    return render(request, "console/credential.html", {"form": form, "service": push_service, "credential": row})


def _store(request: ConsoleRequest, service: PushService, form: CredentialForm) -> bool:
    """Whether it could be stored; otherwise the form says why not."""
    try:
        with transaction.atomic():
            row = store_credential(request.application, service, form.values())
            _record(request, "credential.set", service.label, after={**row.facts, "fingerprint": row.fingerprint})
    except InvalidCredential as error:
        form.add_credential_error(error)
        return False
    return True


def _pace_words(pace: int | None) -> str:
    if pace is None:
        return "as fast as the push service's own quota"
    return f"at most {pace:,} requests a second" if pace else "no limit"


def _service(name: str) -> PushService:
    service = choice_of(PushService, name)
    if service is None:
        raise Http404
    return service


def _only_senders(request: ConsoleRequest) -> None:
    if not request.may_send:
        raise PermissionDenied


def _record(request: ConsoleRequest, action: str, subject: str, **values: object) -> None:
    audit.record(request, action, subject, application=request.application, **values)


def _to_providers(request: ConsoleRequest) -> HttpResponse:
    return redirect("providers", request.application.application_id)
