"""Compose, preview, review, send: one form, carried from step to step in the page itself."""

from __future__ import annotations

from dataclasses import astuple, dataclass
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
from console.pages_compose import ComposePreview, compose_preview, count_audience
from console.query import number_of
from console.sending import save_edit, send_once
from devices.errors import ApiError
from messaging.models import Message
from messaging.publishing import PublishRequest, request_of

_SALT = "console.compose"
#: a review left open for longer is asked again
_REVIEW_AGE_S = 3600
#: devices come and go while somebody reads the review; more than this is another audience (field.md 2, line 27)
_DRIFT_ALLOWED = 0.02
_NOT_CARRIED = frozenset({"csrfmiddlewaretoken", "step", "reviewed", "form_token"})


@require_http_methods(["GET", "HEAD", "POST"])
@application_view
def compose(request: ConsoleRequest) -> HttpResponse:
    """The form; posted, the review of what it says, or the form again with its errors."""
    if request.method != "POST":
        return _empty_form(request)
    form = ComposeForm(request.POST, application=request.application)
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
    counted_now = count_audience(publish_request, request.application).total
    if review is None or _has_drifted(review, publish_request, counted_now):
        return _review(request, form, counted_before=review.counted if review else None)
    try:
        message = send_once(request, review.form_token, publish_request)
    except ApiError as error:
        form.add_api_error(error)
        return _form(request, form)
    return redirect("message", request.application.application_id, message.message_id)


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
    counted: int
    segment_query: str  #: a saved segment may be changed while somebody reads


def _has_drifted(reviewed: Reviewed, request: PublishRequest, now: int) -> bool:
    is_other = request.segment_query != reviewed.segment_query
    return is_other or abs(now - reviewed.counted) > reviewed.counted * _DRIFT_ALLOWED


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
    form = ComposeForm(initial=initial, application=request.application)
    return _form(request, form, typed_form(form.initial, request.application))


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
    }


def _review(request: ConsoleRequest, form: ComposeForm, counted_before: int | None = None) -> HttpResponse:
    preview = compose_preview(form, request.application, is_fresh=True)
    context = _context(request, form, preview)
    publish_request = form.to_publish_request()
    reviewed = Reviewed(str(context["form_token"]), preview.audience.total, publish_request.segment_query)
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
