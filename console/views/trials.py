"""Test sends from the composer: publish, then say beside the form what became of it."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_POST

from console.access import application_view
from console.forms import ComposeForm
from console.htmx import ConsoleRequest
from console.pages_messages import TRIAL_PUBLISHER
from console.trials import result_of, send_trial
from messaging.models import Message


@require_POST
@application_view
def try_out(request: ConsoleRequest) -> HttpResponse:
    """Publish the test. Without htmx the form itself is posted, see `console.views.compose`."""
    form = ComposeForm(request.POST, application=request.application)
    return render(request, "console/partials/_trial_result.html", send_trial(request, form))


@require_GET
@application_view
def show_trial(request: ConsoleRequest, message_id: UUID) -> HttpResponse:
    """What has become of the test so far."""
    tests = Message.objects.filter(application=request.application, publisher_id=TRIAL_PUBLISHER)
    result = result_of(get_object_or_404(tests.select_related("application"), message_id=message_id))
    if result is None:
        raise Http404
    return render(request, "console/partials/_trial_result.html", {"trial_result": result})
