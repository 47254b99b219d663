"""Django app of the messaging layer."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.backends.signals import connection_created

from messaging import database


class MessagingConfig(AppConfig):
    """What is sent and how it went."""

    name = "messaging"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Settings of every database session."""
        connection_created.connect(database.give_up_on_dead_peers, dispatch_uid="dead peers")
