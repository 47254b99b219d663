"""Run the web server: pages and REST."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from console.startup import web_server

#: a process told to end while it still imports forgets that, and its master would wait for it for ever
_FINISH_S = 15


class Command(BaseCommand):
    """`manage.py web`"""

    help = "Serve pages and REST calls. Any number may run, on any machines, on one database, after `prepare`."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--host`, `--port`"""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for every one")
        parser.add_argument("--port", type=int, default=settings.PORT)

    def handle(self, *args: Any, **options: Any) -> None:
        """Become the web server, which then gets the signals itself."""
        os.environ["PORT"] = str(options["port"])  # links lead to this address
        command = [*web_server(options["host"], options["port"]).command, "--workers-kill-timeout", str(_FINISH_S)]
        os.execv(command[0], command)  # noqa: S606  # our own command
