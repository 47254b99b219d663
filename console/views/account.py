"""Signing in, and one's own password."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy

from console import audit
from console.form_provider import dressed


class LoginForm(AuthenticationForm):
    """Django's form in the console's words."""

    error_messages = {
        "invalid_login": "This user name and password do not belong together.",
        "inactive": "This account is switched off.",
    }

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs["class"] = "form-control"


class Login(LoginView):
    """The login page; `next` is followed to this host only (Django checks it)."""

    authentication_form = LoginForm
    redirect_authenticated_user = True


class Account(LoginRequiredMixin, PasswordChangeView):
    """Change one's password: every other session of the person ends with it (Django binds sessions to the hash)."""

    template_name = "console/account.html"
    success_url = reverse_lazy("account")

    def get_form(self, form_class: Any = None) -> PasswordChangeForm:
        """Django's form in the console's looks."""
        return dressed(super().get_form(form_class))

    def form_valid(self, form: Any) -> HttpResponse:
        """Change it, keep this session, record it."""
        response = super().form_valid(form)
        audit.record(self.request, "account.password", self.request.user.get_username())
        messages.success(self.request, "Your password was changed. Your other sessions have ended.")
        return response
