"""`manage.py set_credential APPLICATION_ID SERVICE FILE`: what an application sends with through one push service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from devices.models import Application
from devices.push_services import PushService
from messaging.providers.credentials import InvalidCredential
from messaging.secrets import store_credential


class Command(BaseCommand):
    """Replaces the credential there was; the secret is stored encrypted and cannot be read back."""

    help = "Store the credential of a push service for an application, from a JSON file."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("application_id", type=UUID)
        parser.add_argument("push_service", choices=PushService.values)
        parser.add_argument("file", type=Path, help="fcm: the service-account file; see the README for the others")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, store, say what was stored."""
        application = Application.objects.filter(application_id=options["application_id"]).first()
        if application is None:
            raise CommandError(f"There is no application {options['application_id']}.")
        service = PushService(options["push_service"])
        try:
            row = store_credential(application, service, _read(options["file"]))
        except InvalidCredential as error:
            raise CommandError(str(error)) from error
        facts = ", ".join(f"{name} {value}" for name, value in row.facts.items())
        self.stdout.write(f"{application} now sends through {service.label} with {facts or row.fingerprint}.")


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CommandError(f"{file} is not JSON.") from error
    if not isinstance(content, dict):
        raise CommandError(f"{file} must hold one JSON object.")
    return content
