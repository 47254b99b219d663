"""Django app of the devices layer."""

from __future__ import annotations

from django.apps import AppConfig


class DevicesConfig(AppConfig):
    """Who can be reached."""

    name = "devices"
    default_auto_field = "django.db.models.BigAutoField"
