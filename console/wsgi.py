"""WSGI entry point, served by granian."""

from __future__ import annotations

import os

from django.conf import settings
from django.core.cache import close_caches
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, reset_queries

from console.addresses import utf_8_addresses
from console.processes import die_with_parent
from console.slow_bodies import BodyGuard, Watch
from console.whole_answers import in_one_piece

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
application = BodyGuard(utf_8_addresses(in_one_piece(get_wsgi_application())), Watch())
if not settings.DEBUG:
    # Statements are noted down in DEBUG alone, and a cache in memory has nothing to close: 5 % of a registration. And
    # connections are looked through at the end of each call, which leaves nothing to find at the beginning of the next.
    request_started.disconnect(reset_queries)
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_caches)
# granian's workers outlive a master that was killed with -9, and would go on answering beside its successor
die_with_parent()
