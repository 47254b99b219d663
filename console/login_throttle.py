"""Guessing the passwords of people: slowed per address and per name, with no lock that somebody else could keep shut.

django-axes closes a pair of name and address for 15 minutes after eight wrong passwords. Here is what it cannot see:
one address that tries many names, and many addresses that try one name. Where the person signed in before, they go on.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt, AccessLog
from django import forms
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.db.models import Sum
from django.db.models.functions import Now
from django.http import HttpRequest

from devices.api import limits
from devices.api.limits import Limit
from devices.errors import TooManyRequests

#: wrong passwords for one name from all addresses within the cool-off
MAX_FAILURES_OF_NAME = 50
PLACE_IS_KNOWN_FOR = timedelta(days=90)


def refuse(request: HttpRequest, name: str) -> None:
    """Stop before the password is read. Raises TooManyRequests."""
    if _signed_in_before(request, name):
        return
    limits.refuse_if_spent(Limit.FAILURES, request)
    cool_off = timedelta(hours=settings.AXES_COOLOFF_TIME)
    recent = AccessAttempt.objects.filter(username=name, attempt_time__gt=Now() - cool_off)
    if (recent.aggregate(failures=Sum("failures_since_start"))["failures"] or 0) >= MAX_FAILURES_OF_NAME:
        raise TooManyRequests(retry_after_s=int(cool_off.total_seconds()))


def _signed_in_before(request: HttpRequest, name: str) -> bool:
    address = request.META.get("REMOTE_ADDR") or None
    since = Now() - PLACE_IS_KNOWN_FOR
    return bool(AccessLog.objects.filter(username=name, ip_address=address, attempt_time__gt=since).exists())


class ThrottledLoginForm(AuthenticationForm):
    """Django's form for name and password; `wait_s` is set where the password was not looked at."""

    error_messages = {
        "invalid_login": "This user name and password do not belong together.",
        "inactive": "This account is switched off.",
    }
    wait_s = 0

    def clean(self) -> dict[str, Any]:
        """Check name and password, unless there were too many wrong ones or too many are being checked now."""
        assert self.request is not None
        try:
            refuse(self.request, self.cleaned_data.get("username") or "")
            return super().clean()
        except TooManyRequests as refusal:
            self.wait_s = refusal.retry_after_s
            raise forms.ValidationError("Too many people or wrong passwords at once. Wait a little.") from refusal

    def get_invalid_login_error(self) -> forms.ValidationError:
        """The password was wrong: counted for the address."""
        assert self.request is not None
        limits.take(Limit.FAILURES, self.request)
        return super().get_invalid_login_error()


class ThrottledAdminLoginForm(ThrottledLoginForm, AdminAuthenticationForm):
    """The same at the door of the data administration."""
