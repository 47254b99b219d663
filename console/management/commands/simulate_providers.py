"""`manage.py simulate_providers`: FCM, APNs, WNS and Web Push on loopback, for rehearsal, demo and tests."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from messaging.simulators.ports import PortTaken
from messaging.simulators.runner import serve_until_signal
from messaging.simulators.simulation import StartOptions


class Command(BaseCommand):
    """Runs until SIGTERM or SIGINT; the first line of its output is JSON with every URL."""

    help = "Simulate the push services on loopback; prints one JSON line with their URLs and the CA file."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--data-dir", type=Path, default=None, help="keys, ports, log (CLARION_DATA_DIR)")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port-base", type=int, default=0, help="first of eight ports; 0 = those of the last run")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve."""
        data_dir = options["data_dir"] or Path(settings.DATA_DIR)
        start = StartOptions(data_dir, options["host"], options["port_base"])
        try:
            asyncio.run(serve_until_signal(start, self._announce))
        except PortTaken as err:
            raise CommandError(str(err)) from err

    def _announce(self, urls: dict[str, str]) -> None:
        self.stdout.write(json.dumps(urls))
        self.stdout.flush()
