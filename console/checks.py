"""System checks: configurations that start well and go wrong later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register


@register()
def time_zone_is_utc(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Times are compared with the database's and shown with their zone; both assume UTC inside."""
    if settings.TIME_ZONE == "UTC" and settings.USE_TZ:
        return []
    return [Error("TIME_ZONE must be UTC, with USE_TZ.", id="console.E001")]


@register()
def jobs_end_before_they_are_retried(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """django-q2 gives a job to a second worker after `retry` seconds, whether or not the first still works on it."""
    queue: dict[str, Any] = settings.Q_CLUSTER
    timeout, retry = queue["timeout"], queue["retry"]
    if timeout < retry:
        return []
    return [
        Error(
            f"Q_CLUSTER: a job may run {timeout} s but is handed out again after {retry} s.",
            hint="Set timeout below retry, or jobs run twice at the same time.",
            id="console.E002",
        )
    ]


@register(Tags.security, deploy=True)
def loopback_push_is_for_this_machine(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """With CLARION_ALLOW_LOOPBACK_PUSH any device may have us connect to services of this machine."""
    if not (settings.ALLOW_LOOPBACK_PUSH and settings.IS_HTTPS):
        return []
    return [
        Error(
            "CLARION_ALLOW_LOOPBACK_PUSH is on while the console has a public https address.",
            hint="It is for the simulators; unset it in production.",
            id="console.E003",
        )
    ]


@register(Tags.security, deploy=True)
def providers_are_the_real_ones(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Credentials are sent to these addresses."""
    names = ("FCM_URL", "GOOGLE_TOKEN_URL", "APNS_URL", "APNS_SANDBOX_URL", "WNS_TOKEN_URL")
    plain = [name for name in names if not getattr(settings, name).startswith("https://")]
    return [Error(f"CLARION_{name} must begin with https://.", id="console.E004") for name in plain]


@register(Tags.security, deploy=True)
def every_host_is_named(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """A wildcard lets a forged Host header choose the links in what we answer."""
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [Warning("ALLOWED_HOSTS holds *: name the hosts instead.", id="console.W001")]
