"""Compose, preview, review, send: one form, carried from step to step in the page itself."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.core import signing
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.access import application_view
from console.form_fields import HeaderRow
from console.forms import ComposeForm, form_can_say, initial_from, typed_form
from console.htmx import ConsoleRequest
from console.pages import workers_view
from console.pages_compose import (
    EXACT_PATIENCE_MS,
    REVIEW_PATIENCE_MS,
    AudienceView,
    ComposePreview,
    compose_preview,
    count_audience,
)
from console.query import number_of
from console.sending import save_edit, send_once
from console.trials import TrialForm, remembered, send_trial
from devices.errors import ApiError
from devices.models import DeviceRegistration
from messaging.models import Message
from messaging.publishing import PublishRequest, request_of

_SALT = "console.compose"
#: a review left open for longer is asked again
_REVIEW_AGE_S = 3600
#: devices come and go while somebody reads the review; more than this is another audience (field.md 2, line 27)
_DRIFT_ALLOWED = 0.02
#: beside an estimate, which knows two digits of what it found in a sample
_DRIFT_OF_ESTIMATES_ALLOWED = 0.2
_NOT_CARRIED = frozenset({"csrfmiddlewaretoken", "step", "reviewed", "form_token"})


@require_http_methods(["GET", "HEAD", "POST"])
@application_view
def compose(request: ConsoleRequest) -> HttpResponse:
    """The form; posted, the review of what it says, or the form again with its errors."""
    if request.method != "POST":
        return _empty_form(request)
    form = ComposeForm(request.POST, application=request.application)
    if request.POST.get("step") == "test":
        return _test(request, form)
    is_review = request.POST.get("step", "review") == "review"
    return _review(request, form) if is_review and form.is_valid() else _form(request, form)


@require_POST
@application_view
def preview(request: ConsoleRequest) -> HttpResponse:
    """Everything beside the form, for what has been typed so far."""
    form = ComposeForm(request.POST, application=request.application)
    context = _context(request, form, _preview_of(request, form)) | {"is_live": True}
    return render(request, "console/partials/_compose_live.html", context)


@require_GET
@application_view
def header_row(request: ConsoleRequest) -> HttpResponse:
    """One more empty row of extra headers."""
    return render(request, "console/partials/_header_row.html", {"row": HeaderRow()})


@require_POST
@application_view
def send(request: ConsoleRequest) -> HttpResponse:
    """Publish what was reviewed, unless its audience has become another one meanwhile."""
    form = ComposeForm(request.POST, application=request.application)
    if not form.is_valid():
        return _form(request, form)
    review = _reviewed(request)
    publish_request = form.to_publish_request()
    now = count_audience(publish_request, request.application, patience_ms=REVIEW_PATIENCE_MS)
    if review is None or _has_drifted(review, publish_request, now):
        return _review(request, form, counted_before=review.counted if review else None)
    try:
        message = send_once(request, review.form_token, publish_request)
    except ApiError as error:
        form.add_api_error(error)
        return _form(request, form)
    return redirect("message", request.application.application_id, message.message_id)


@require_POST
@application_view
def count(request: ConsoleRequest) -> HttpResponse:
    """The exact number for a review that was shown with an estimate."""
    form = ComposeForm(request.POST, application=request.application)
    review = _reviewed(request)
    if not form.is_valid() or review is None:
        return HttpResponse(status=204)  # nothing to swap: sending shows what is the matter
    preview = compose_preview(form, request.application, patience_ms=EXACT_PATIENCE_MS)
    if preview.audience.is_exact:
        review = replace(review, counted=preview.audience.total, is_exact=True)
    context = {
        "preview": preview,
        "publish_request": form.to_publish_request(),
        "reviewed": signing.dumps(astuple(review), salt=_SALT),
        "is_filled_in": True,
    }
    return render(request, "console/partials/_review_reach.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@application_view
def edit(request: ConsoleRequest, message_id: UUID) -> HttpResponse:
    """The form of a message that has not begun; posted, the change, unless it began or was changed meanwhile."""
    message = get_object_or_404(Message, application=request.application, message_id=message_id)
    if not form_can_say(request_of(message)):
        return _refuse(request, message)
    if request.method != "POST":
        form = ComposeForm(initial=initial_from(request_of(message)), application=request.application)
        editing = {"edited": str(message.message_id), "seen_version": message.content_version}
        typed = typed_form(form.initial, request.application)
        return render(request, "console/compose.html", _context(request, form, _preview_of(request, typed)) | editing)
    form = ComposeForm(request.POST, application=request.application)
    if request.POST.get("step") == "test":
        return _test(request, form)
    if request.POST.get("step") == "edit" or not form.is_valid():
        return _form(request, form)
    try:
        save_edit(request, message, form.to_publish_request(), number_of(request.POST.get("seen_version")) or 0)
    except ApiError as error:
        form.add_api_error(error)
        return _form(request, form)
    messages.success(request, "The message was changed.")
    return redirect("message", request.application.application_id, message_id)


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What the review page was about."""

    form_token: str
    segment_query: str  #: a saved segment may be changed while somebody reads
    counted: int  #: what the reader saw last
    is_exact: bool
    estimated: int | None  #: what stood there first, where every device could not be counted at once


def _has_drifted(reviewed: Reviewed, request: PublishRequest, now: AudienceView) -> bool:
    """Whether it is another audience: like is compared with like, an estimate with the estimate of the review."""
    if request.segment_query != reviewed.segment_query:
        return True
    before = reviewed.counted if now.is_exact or reviewed.estimated is None else reviewed.estimated
    allowed = _DRIFT_ALLOWED if now.is_exact and reviewed.is_exact else _DRIFT_OF_ESTIMATES_ALLOWED
    return abs(now.total - before) > before * allowed


def _as_reviewed(form_token: str, request: PublishRequest, seen: AudienceView) -> Reviewed:
    return Reviewed(
        form_token=form_token,
        segment_query=request.segment_query,
        counted=seen.total,
        is_exact=seen.is_exact,
        estimated=None if seen.is_exact else seen.total,
    )


def _reviewed(request: ConsoleRequest) -> Reviewed | None:
    try:
        reviewed = signing.loads(request.POST.get("reviewed", ""), salt=_SALT, max_age=_REVIEW_AGE_S)
    except signing.BadSignature:
        return None
    return Reviewed(*reviewed)


def _empty_form(request: ConsoleRequest) -> HttpResponse:
    initial: dict[str, Any] = {}
    if "from" in request.GET:
        source = _source(request, request.GET["from"])
        if not form_can_say(request_of(source)):
            return _refuse(request, source)
        initial = initial_from(request_of(source))
    elif device := _device(request):
        initial = {"audience": "devices", "device_ids": device.device_id}
    form = ComposeForm(initial=initial, application=request.application)
    return _form(request, form, typed_form(form.initial, request.application))


def _device(request: ConsoleRequest) -> DeviceRegistration | None:
    key = number_of(request.GET.get("device"))
    return request.application.registrations.filter(pk=key).first() if key is not None else None


def _source(request: ConsoleRequest, message_id: str) -> Message:
    try:
        return get_object_or_404(Message, application=request.application, message_id=UUID(message_id))
    except ValueError as error:
        raise Http404 from error


def _refuse(request: ConsoleRequest, message: Message) -> HttpResponse:
    messages.error(request, "The form has no field for all that this message says, so only the API can publish it.")
    return redirect("message", request.application.application_id, message.message_id)


def _form(request: ConsoleRequest, form: ComposeForm, typed: ComposeForm | None = None) -> HttpResponse:
    return render(request, "console/compose.html", _context(request, form, _preview_of(request, typed or form)))


def _test(request: ConsoleRequest, form: ComposeForm) -> HttpResponse:
    """A test asked for without JavaScript: the form again, and what became of it."""
    context = _context(request, form, _preview_of(request, form)) | send_trial(request, form)
    return render(request, "console/compose.html", context)


def _preview_of(request: ConsoleRequest, typed: ComposeForm) -> ComposePreview:
    typed.is_valid()
    return compose_preview(typed, request.application)


def _context(request: ConsoleRequest, form: ComposeForm, preview: ComposePreview) -> dict[str, object]:
    return {
        "form": form,
        "preview": preview,
        "workers": workers_view(request.application),
        "form_token": request.POST.get("form_token") or uuid4().hex,
        "edited": request.POST.get("edited", ""),
        "seen_version": request.POST.get("seen_version", ""),
        "trial": TrialForm(initial={"trial_devices": _test_devices(request)}),
        "trial_token": uuid4().hex,
    }


def _test_devices(request: ConsoleRequest) -> str:
    return request.POST.get("trial_devices", "") or remembered(request.session, request.application)


def _review(request: ConsoleRequest, form: ComposeForm, counted_before: int | None = None) -> HttpResponse:
    preview = compose_preview(form, request.application, patience_ms=REVIEW_PATIENCE_MS)
    context = _context(request, form, preview)
    publish_request = form.to_publish_request()
    reviewed = _as_reviewed(str(context["form_token"]), publish_request, preview.audience)
    carried = [(name, value) for name, values in request.POST.lists() if name not in _NOT_CARRIED for value in values]
    return render(
        request,
        "console/review.html",
        context
        | {
            "publish_request": publish_request,
            "carried": carried,
            "counted_before": counted_before,
            "reviewed": signing.dumps(astuple(reviewed), salt=_SALT),
        },
    )
