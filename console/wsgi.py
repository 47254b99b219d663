"""WSGI entry point, served by granian."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

from console.addresses import utf_8_addresses
from console.processes import die_with_parent
from console.slow_bodies import BodyGuard, Watch

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
application = BodyGuard(utf_8_addresses(get_wsgi_application()), Watch())
# granian's workers outlive a master that was killed with -9, and would go on answering beside its successor
die_with_parent()
