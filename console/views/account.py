"""Signing in, and one's own password."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy

from console import audit
from console.form_provider import dressed
from console.login_throttle import ThrottledLoginForm
from devices.errors import TooManyRequests


class LoginForm(ThrottledLoginForm):
    """The form in the console's looks."""

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs["class"] = "form-control"


class Login(LoginView):
    """The login page; `next` is followed to this host only (Django checks it)."""

    authentication_form = LoginForm
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """The form again, or how long to wait."""
        wait_s = getattr(form, "wait_s", 0)
        return _wait(self.request, wait_s) if wait_s else super().form_invalid(form)


class Account(LoginRequiredMixin, PasswordChangeView):
    """Change one's password: every other session of the person ends with it (Django binds sessions to the hash)."""

    template_name = "console/account.html"
    success_url = reverse_lazy("account")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Change it, unless too many passwords are being checked at this moment."""
        try:
            return super().post(request, *args, **kwargs)
        except TooManyRequests as refusal:
            return _wait(request, refusal.retry_after_s)

    def get_form(self, form_class: Any = None) -> PasswordChangeForm:
        """Django's form in the console's looks."""
        return dressed(super().get_form(form_class))

    def form_valid(self, form: Any) -> HttpResponse:
        """Change it, keep this session, record it."""
        response = super().form_valid(form)
        audit.record(self.request, "account.password", self.request.user.get_username())
        messages.success(self.request, "Your password was changed. Your other sessions have ended.")
        return response


def _wait(request: HttpRequest, wait_s: int) -> HttpResponse:
    response = render(request, "registration/locked_out.html", {"wait_s": wait_s}, status=429)
    response.headers["Retry-After"] = str(wait_s)
    return response
