"""Addresses of publishing below `<application-id>/<api-key>/messaging/`.

A channel and a message id stand at the same place, so the reserved words come first.
"""

from __future__ import annotations

from django.urls import path

from devices.api.envelope import endpoint
from devices.channels import RESERVED_NAMES
from messaging.api import template_views, views

urlpatterns = [
    path("push/<path:name>", endpoint(POST=template_views.push)),
    path("pushtemplates", endpoint(GET=template_views.templates)),
    path("pushtemplates/<str:os_name>", endpoint(GET=template_views.templates)),
    *(path(word, endpoint()) for word in sorted(RESERVED_NAMES)),
    path("<str:name>", endpoint(POST=views.publish, GET=views.status, DELETE=views.cancel)),
]
