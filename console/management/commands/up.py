"""Start everything with one command, and stop it again."""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from console import demo, postgres, preparing, startup
from console.processes import Child, stop_all
from console.stopping import stop_on_signals
from devices.models import Application

_STOP_S = 13.0


class Command(BaseCommand):
    """`manage.py up`"""

    help = "Start PostgreSQL (unless DATABASE_URL is set), web, sockets, ticker and workers; Ctrl-C stops them."
    requires_system_checks = []  # the database they would look at is started here

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--port`, `--host`, `--no-demo`"""
        parser.add_argument("--port", type=int, default=settings.PORT, choices=range(1, 65_535), metavar="PORT")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for every one")
        parser.add_argument("--no-demo", action="store_true", help="without the demo application and the simulators")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until Ctrl-C or SIGTERM."""
        should_stop = stop_on_signals()
        children: list[Child] = []
        try:
            self._start(children, host=options["host"], port=options["port"], with_demo=not options["no_demo"])
            while not should_stop():
                time.sleep(0.2)
                startup.keep_database()
                for child in children:
                    if child.keep():
                        self.stderr.write(f"{child.name} ended, starting it again")
        except startup.CannotStart as error:
            raise CommandError(str(error)) from error
        finally:
            if children:
                self.stdout.write("Stopping …")
            # The simulators last: requests that are on the wire must still be answered
            stop_all([child for child in reversed(children) if child.name != "simulators"], _STOP_S)
            stop_all([child for child in children if child.name == "simulators"], 2.0)
            connections.close_all()
            postgres.stop(settings.DATA_DIR)

    def _start(self, children: list[Child], *, host: str, port: int, with_demo: bool) -> None:
        startup.lock_data_folder()
        startup.check_ports(host, port, port + 1)  # pages and REST; live subscribers
        os.environ["PORT"] = str(port)  # the processes started here print and link to this address
        startup.start_database()
        administrator = preparing.prepare()
        keys = None
        if with_demo or Application.objects.filter(is_simulated=True).exists():
            simulators, urls = startup.start_simulators()
            children.append(simulators)
            keys = demo.ensure_demo(urls) if with_demo else None
        connections.close_all()
        web = startup.web_server(host, port)
        sockets = self._command("sockets", "--host", host, "--port", str(port + 1))
        children += [web, sockets, self._command("ticker"), self._command("workers")]
        for child in children:
            if child.process is None:
                child.start()
        startup.wait_for_web(port, web)
        self._greet(port, administrator, keys)

    def _command(self, name: str, *options: str) -> Child:
        return Child(name=name, command=[sys.executable, "manage.py", name, *options], is_quiet=True)

    def _greet(self, port: int, administrator: tuple[str, str] | None, keys: demo.DemoKeys | None) -> None:
        address = f"http://localhost:{port}"
        lines = ["", f"  Clarion is running at {address}/", ""]
        if administrator is not None:
            name, password = administrator
            lines += [f"  Log in as {name} with the password {password}", "  It is shown only this once.", ""]
        if keys is not None:
            lines += _demo_lines(address, keys)
        self.stdout.write("\n".join([*lines, "  Ctrl-C stops it.", ""]))
        self.stdout.flush()


def _demo_lines(address: str, keys: demo.DemoKeys) -> list[str]:
    headers = {"android-content-title": "Hello", "android-content-text": "From Clarion", "ios-alert": "From Clarion"}
    body = json.dumps({"message": "Hello", "headers": headers})
    return [
        f"  Demo application, {demo.DEMO_DEVICES:,} simulated devices, a few percent of them dead, slow or failing:",
        f"    application id  {keys.application_id}",
        f"    REST API key    {keys.rest_key}   (may publish)",
        f"    client API key  {keys.client_key}   (may register, not publish)",
        "",
        "  Publish to its Android and iOS devices:",
        "",
        "    curl -H Content-Type:application/json \\",
        f"      -d '{body}' \\",
        f"      {address}/{keys.application_id}/{keys.rest_key}/messaging/default",
        "",
    ]
