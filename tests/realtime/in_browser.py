"""`python -m tests.realtime.in_browser SCENARIO CONFIGURATION`: a scenario in Chromium, on a page of another origin.

A process of its own, since Playwright keeps an event loop in its thread, where Django then refuses to work.
"""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import sys
import threading

from playwright.sync_api import sync_playwright

from tests.realtime.sdks import FOLDER


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    """Files without a line for each."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def main(scenario: str, configuration: str) -> None:
    """Print what the scenario reports as one JSON line."""
    files = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietFiles, directory=FOLDER))
    threading.Thread(target=files.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium") or None, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://localhost:{files.server_port}/page.html")
        report = page.evaluate(f"configuration => {scenario}(Backendless, configuration)", json.loads(configuration))
        browser.close()
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
