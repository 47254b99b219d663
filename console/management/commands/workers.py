"""Run a group of workers under their watchdog."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from console.stopping import stop_on_signals
from console.watchdog import Watchdog


class Command(BaseCommand):
    """`manage.py workers`"""

    help = "Send what is published. Any number of groups may run, on any machines, on one database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--workers N`"""
        parser.add_argument("--workers", type=int, default=settings.WORKERS, help="processes in the group")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGTERM."""
        Watchdog(options["workers"]).run(stop_on_signals())
