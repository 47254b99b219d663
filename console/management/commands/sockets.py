"""Run a socket process: pub/sub to live subscribers."""

from __future__ import annotations

import asyncio
import json
import signal
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from messaging.realtime.limits import Bounds
from messaging.realtime.server import Address, SocketServer


class Command(BaseCommand):
    """`manage.py sockets`"""

    help = "Serve live subscribers (socket.io). Any number may run, on any machines, on one database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--host`, `--port`"""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for every one")
        parser.add_argument("--port", type=int, default=settings.PORT + 1, help="0 for any free one")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGTERM; the first line of output is JSON with the port."""
        try:
            asyncio.run(self._serve(Address(options["host"], options["port"])))
        except OSError as error:
            raise CommandError(f"Port {options['port']} cannot be used: {error.strerror}.") from error

    async def _serve(self, address: Address) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await SocketServer(_bounds()).run(address, self._announce, stop.wait())

    def _announce(self, port: int) -> None:
        self.stdout.write(json.dumps({"port": port}))
        self.stdout.flush()


def _bounds() -> Bounds:
    return Bounds(
        connections=settings.SOCKET_CONNECTIONS,
        sessions=settings.SOCKET_SESSIONS,
        strangers=settings.SOCKET_STRANGERS,
        opening=settings.SOCKET_OPENING,
        packets=settings.SOCKET_PACKETS,
        failures=settings.RATES["FAILURES"],
        is_behind_proxy=settings.IS_BEHIND_PROXY,
    )
