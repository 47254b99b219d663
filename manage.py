#!/usr/bin/env python
"""Run a Clarion command: `manage.py up` starts everything."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line
from django.db import OperationalError

from console.environment import ConfigurationError
from console.postgres import DatabaseUnavailable

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    try:
        execute_from_command_line(sys.argv)
    except (ConfigurationError, DatabaseUnavailable) as error:
        sys.exit(str(error))
    except OperationalError as error:
        reason = " ".join(str(error).split())
        sys.exit(f"The database cannot be used ({reason}). Start Clarion with `make run`, or set DATABASE_URL.")
