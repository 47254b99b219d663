"""Make the database and this machine ready for the parts of Clarion."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from console import preparing, startup


class Command(BaseCommand):
    """`manage.py prepare`"""

    help = "Migrate the database, make the first administrator, collect static files. Machines may run it at once."

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare and end."""
        if settings.IS_DATABASE_EMBEDDED:
            raise CommandError("Set DATABASE_URL: the embedded database is prepared by `manage.py up`.")
        try:
            startup.start_database()
        except startup.CannotStart as error:
            raise CommandError(str(error)) from error
        administrator = preparing.prepare()
        if administrator is not None:
            name, password = administrator
            self.stdout.write(f"Log in as {name} with the password {password}\nIt is shown only this once.")
        self.stdout.write("Clarion is ready to run.")
