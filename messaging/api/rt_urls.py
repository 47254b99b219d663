"""Addresses of the socket processes' whereabouts below `<application-id>/<api-key>/`."""

from __future__ import annotations

from django.urls import path

from devices.api.envelope import endpoint
from messaging.api import rt_views

urlpatterns = [
    path("info", endpoint(GET=rt_views.info)),
    path("rt/lookup", endpoint(GET=rt_views.lookup)),
]
