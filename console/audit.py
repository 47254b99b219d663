"""The record of what people did: written beside every change, never changed afterwards."""

from __future__ import annotations

from typing import Any

from axes.signals import user_locked_out
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from console.models import AuditEntry
from devices.models import Application


def record(
    request: HttpRequest,
    action: str,
    subject: str = "",
    *,
    application: Application | None = None,
    before: object = None,
    after: object = None,
) -> AuditEntry:
    """Write one entry in the current transaction, so that a change and its record are kept or lost together."""
    user = getattr(request, "user", None)
    actor = user.get_username() if user is not None and user.is_authenticated else ""
    return _write(request, action, actor, subject=subject, application=application, before=before, after=after)


def _write(
    request: HttpRequest | None, action: str, actor: str, *, application: Application | None = None, **values: Any
) -> AuditEntry:
    return AuditEntry.objects.create(
        actor=_storable(actor, 150),
        address=request.META.get("REMOTE_ADDR") or None if request is not None else None,
        application_id=application.pk if application is not None else None,
        action=action,
        **values,
    )


def _storable(text: str, length: int) -> str:
    """PostgreSQL text holds no NUL, and a failed login names whatever was typed."""
    return text.replace("\x00", "")[:length]


@receiver(user_logged_in)
def _logged_in(sender: object, request: HttpRequest, user: Any, **_: object) -> None:
    _write(request, "session.login", user.get_username())


@receiver(user_logged_out)
def _logged_out(sender: object, request: HttpRequest, user: Any, **_: object) -> None:
    if user is not None:
        _write(request, "session.logout", user.get_username())


@receiver(user_login_failed)
def _login_failed(sender: object, credentials: dict[str, Any], request: HttpRequest | None = None, **_: object) -> None:
    _write(request, "session.login_failed", str(credentials.get("username", "")))


@receiver(user_locked_out)
def _locked_out(sender: object, request: HttpRequest, username: str | None = None, **_: object) -> None:
    _write(request, "session.locked_out", username or "")
