"""Who may see or publish what: every console page looks its application up here, and everything else through it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect

from console.htmx import ConsoleRequest
from console.models import Membership
from devices.models import Application
from messaging.publishing import Publisher

P = ParamSpec("P")
ConsoleView = Callable[Concatenate[ConsoleRequest, P], HttpResponseBase]


def applications_of(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Application]:
    """Applications a person may open: all for superusers, those with a membership for everybody else."""
    if not isinstance(user, User) or not user.is_active:
        return Application.objects.none()
    if user.is_superuser:
        return Application.objects.all()
    return Application.objects.filter(memberships__user=user)


def may_send(user: User, application: Application) -> bool:
    """Whether the person may publish, cancel and resume in this application."""
    if user.is_superuser:
        return True
    return Membership.objects.filter(user=user, application=application, may_send=True).exists()


def publisher_of(request: ConsoleRequest) -> Publisher:
    """The person of the request, as `messaging.publishing` wants to know them."""
    return Publisher(may_publish=request.may_send, user=request.user)


def application_view(view: ConsoleView[P]) -> Callable[..., HttpResponseBase]:
    """Let a signed-in person reach their application; any other id answers as if absent."""

    @wraps(view)
    def guarded(request: HttpRequest, application_id: UUID, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return to_login(request)
        application = applications_of(request.user).filter(application_id=application_id).first()
        if application is None:
            raise Http404
        request.application = application  # type: ignore[attr-defined]
        request.may_send = may_send(request.user, application)  # type: ignore[attr-defined]
        return view(request, *args, **kwargs)  # type: ignore[arg-type]

    return guarded


def to_login(request: HttpRequest) -> HttpResponse:
    """Ask the person to sign in and come back; a fragment request moves the whole page there."""
    if not request.htmx:  # type: ignore[attr-defined]
        if request.method == "GET":
            return HttpResponseRedirect(_login_url(request.get_full_path()))
        return HttpResponseRedirect(_login_url(urlsplit(request.headers.get("Referer", "")).path or "/"))
    page = urlsplit(request.headers.get("HX-Current-URL", ""))
    return HttpResponseClientRedirect(_login_url(page.path or "/"))


def _login_url(next_path: str) -> str:
    return f"{reverse('login')}?{urlencode({'next': next_path})}"
