"""Static files as production serves them, and what the first page weighs."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.management import call_command
from pytest_django.fixtures import Settings

from console import settings as configured

FIRST_LOAD = (
    "vendor/tabler-1.6.1/tabler.min.css",
    "console/console.css",
    "console/compose.css",
    "console/theme.js",
    "console/console.js",
    "console/draft.js",
    "console/icons.svg",
    "console/favicon.svg",
    "django_htmx/htmx-2.min.js",
)


def test_every_reference_between_static_files_resolves(settings: Settings, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = configured.STORAGES

    call_command("collectstatic", interactive=False, verbosity=0)

    assert (tmp_path / "staticfiles.json").exists()


def test_the_first_load_stays_below_160_kb() -> None:
    found = [finders.find(name) for name in FIRST_LOAD]

    assert all(found), found
    assert sum(len(gzip.compress(Path(path).read_bytes(), 9)) for path in found) <= 160_000


def test_vendored_files_are_those_of_the_table() -> None:
    vendor = settings.BASE_DIR / "static" / "vendor"
    sums = re.findall(r"`([0-9a-f]{64})`", (vendor / "README.md").read_text())
    files = [path for path in vendor.rglob("*.min.*") if path.is_file()]

    assert files
    for path in files:
        assert hashlib.sha256(path.read_bytes()).hexdigest() in sums


def test_pages_hold_nothing_the_content_policy_refuses() -> None:
    for path in (settings.BASE_DIR / "templates").rglob("*.html"):
        html = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|hx-on|javascript:", html), path
        assert not re.search(r"\|safe\b|autoescape off|mark_safe", html), path
        assert not re.search(r"(?:src|href)=\"https?://", html), path
