"""Static files for tests of pages: served from where they are, so that no test has to collect them first."""

from __future__ import annotations

from pathlib import Path

from pytest_django.fixtures import Settings


def serve_uncollected(settings: Settings, empty: Path) -> None:
    """Name files without hashes, and give WhiteNoise an empty folder instead of a missing one."""
    settings.STATIC_ROOT = empty
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
