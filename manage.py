#!/usr/bin/env python
"""Run a Clarion command: `manage.py up` starts everything."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

from console.environment import ConfigurationError
from console.postgres import DatabaseUnavailable

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    try:
        execute_from_command_line(sys.argv)
    except (ConfigurationError, DatabaseUnavailable) as error:
        sys.exit(str(error))
