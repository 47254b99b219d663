"""Run a ticker: claims what is due, rings for what is open."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from console.stopping import stop_on_signals
from messaging.ticker import Ticker


class Command(BaseCommand):
    """`manage.py ticker`"""

    help = "Start due messages on time. Any number of tickers may run, on any machines."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGTERM."""
        Ticker().run(stop_on_signals())
