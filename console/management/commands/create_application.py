"""`manage.py create_application NAME`: a new application with a key for servers and one to ship in apps."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from devices.api_keys import Permissions, create_api_key
from devices.host_keys import create_host_key
from devices.models import Application, ClientType


class Command(BaseCommand):
    """Prints the keys once; only their hashes are stored."""

    help = "Create an application; prints its id, a key that may publish and one that may not."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("name", help="what people see, up to 100 characters")
        parser.add_argument("--subdomain", help="first word of its host name, which then serves /api/ as well")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create and print."""
        with transaction.atomic():
            application = Application(name=options["name"], subdomain=options["subdomain"])
            application.full_clean()
            application.save()
            _, server_key = create_api_key(application, "Server", ClientType.REST, Permissions(may_publish=True))
            _, client_key = create_api_key(application, "Apps", ClientType.JS, Permissions())
            if application.subdomain:
                create_host_key(application, Permissions())
        made = {
            "applicationId": str(application.application_id).upper(),
            "restApiKey": server_key,
            "clientApiKey": client_key,
        }
        self.stdout.write(json.dumps(made) if options["as_json"] else _as_text(made))


def _as_text(made: dict[str, str]) -> str:
    return (
        f"Application id  {made['applicationId']}\n"
        f"REST API key    {made['restApiKey']}  (may publish: keep it on servers)\n"
        f"Client API key  {made['clientApiKey']}  (may not publish: ship it in apps)"
    )
