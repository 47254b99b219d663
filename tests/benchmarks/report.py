"""The table of figures: printed always, written to RESULTS.md when CLARION_BENCH_WRITE=1."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import django
import ngh2
from django.db import connection

RESULTS = Path(__file__).with_name("RESULTS.md")
COMMAND = "CLARION_BENCH_WRITE=1 make bench"


@dataclass(slots=True)
class Report:
    """Figures of one session, a table for each kind of work."""

    versions: dict[str, str] = field(default_factory=dict)
    _tables: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    _notes: dict[str, str] = field(default_factory=dict)

    def add(self, title: str, row: Mapping[str, str], *, note: str = "") -> None:
        """Add a row to the table of that title; rows of one table have the same columns."""
        self._tables.setdefault(title, []).append({**row, "load": f"{os.getloadavg()[0]:.1f}"})
        if note:
            self._notes[title] = note

    def describe_database(self) -> None:
        """Take note of the server's version; needs the database."""
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            self.versions["PostgreSQL"] = cursor.fetchone()[0]

    def finish(self) -> None:
        """Print everything, and write it where that was asked for."""
        if not self._tables:
            return
        text = self._markdown()
        sys.stdout.write(f"\n\n{text}")
        if os.environ.get("CLARION_BENCH_WRITE") == "1":
            RESULTS.write_text(text)

    def _markdown(self) -> str:
        parts = [
            "# Figures of Clarion\n",
            f"Made by `{COMMAND}`, {datetime.now(UTC):%d %b %Y %H:%M} UTC. {_machine()}\n",
        ]
        versions = {"Python": platform.python_version(), "Django": django.__version__, "ngh2": ngh2.__version__}
        parts.append(", ".join(f"{name} {version}" for name, version in (versions | self.versions).items()) + ".\n")
        for title, rows in self._tables.items():
            parts += [f"## {title}\n", _table(rows), *([f"{self._notes[title]}\n"] if title in self._notes else [])]
        return "\n".join(parts)


def _table(rows: list[dict[str, str]]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _machine() -> str:
    cpus = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(":")[2].strip() for line in cpus.splitlines() if line.startswith("model name")), "")
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"Machine: {os.cpu_count()} cores {model or platform.machine()}, {gib:.0f} GiB, Linux {platform.release()}."
