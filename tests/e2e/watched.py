"""Collect what a browser complains about, and what axe-core finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Page

AXE = Path(__file__).parent / "vendor" / "axe-core-4.14.1" / "axe.min.js"

_REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""
#: htmx speaks of polls that a click to another page cuts off as errors; failed ones are called htmx:sendError
_LEAVING = ("htmx:sendAbort", "htmx:afterRequest")
#: rules of WCAG 2.2 level A and AA, and axe's own good practice
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class WatchedPage:
    """A page and its complaints: broken scripts, failed requests, content the policy refused."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.add_init_script(_REPORT_VIOLATIONS)
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        page.on("console", self._read)

    def _read(self, line: ConsoleMessage) -> None:
        if line.type == "error" and not line.text.startswith(_LEAVING):
            self.complaints.append(line.text)


def axe_violations(page: Page) -> list[str]:
    """`rule: element` for every violation. The script is run by the debugger, which no content policy stops."""
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate("tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", _TAGS)
    return [
        f"{violation['id']}: {node['html'][:160]} {node['any'][0]['message'] if node['any'] else ''}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than the window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width
