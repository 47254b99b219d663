"""Django app of the messaging layer."""

from __future__ import annotations

from django.apps import AppConfig


class MessagingConfig(AppConfig):
    """What is sent and how it went."""

    name = "messaging"
    default_auto_field = "django.db.models.BigAutoField"
