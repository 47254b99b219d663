"""Signing in and out."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest


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
