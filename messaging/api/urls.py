"""Addresses of publishing below `<application-id>/<api-key>/messaging/`.

A channel and a message id stand at the same place, so the reserved words come first.
"""

from __future__ import annotations

from django.urls import path

from devices.api.envelope import endpoint
from devices.channels import RESERVED_NAMES
from messaging.api import channel_views, email_views, polling_views, template_views, views

urlpatterns = [
    path("push/<path:name>", endpoint(POST=template_views.push)),
    path("pushtemplates", endpoint(GET=template_views.templates)),
    path("pushtemplates/<str:os_name>", endpoint(GET=template_views.templates)),
    path("email", endpoint(POST=email_views.send)),
    path("channels/<str:name>", endpoint(DELETE=channel_views.delete)),
    *(path(word, endpoint()) for word in sorted(RESERVED_NAMES)),
    *(path(f"{word}/<path:below>", endpoint()) for word in sorted(RESERVED_NAMES)),
    path("<str:channel>/subscribe", endpoint(POST=polling_views.subscribe)),
    path("<str:channel>/<str:subscription_id>", endpoint(GET=polling_views.poll)),
    path("<str:name>", endpoint(POST=views.publish, GET=views.status, DELETE=views.cancel)),
]
