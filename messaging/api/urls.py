"""Addresses of publishing below `<application-id>/<api-key>/messaging/`.

A channel and a message id stand at the same place, so the reserved words come first.
"""

from __future__ import annotations

from django.urls import path

from devices.api.envelope import endpoint
from devices.channels import RESERVED_NAMES
from messaging.api import views

urlpatterns = [
    *(path(word, endpoint()) for word in sorted(RESERVED_NAMES)),
    path("<str:name>", endpoint(POST=views.publish, GET=views.status, DELETE=views.cancel)),
]
