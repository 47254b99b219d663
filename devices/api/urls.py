"""Addresses of device registration below `<application-id>/<api-key>/messaging/`."""

from __future__ import annotations

from django.urls import path

from devices.api import views
from devices.api.envelope import endpoint

_device = endpoint(GET=views.get, DELETE=views.unregister)

urlpatterns = [
    path("registrations", endpoint(POST=views.register)),
    path("registrations/<path:device_id>", _device),
    # the singular stands in the documentation's curl sample
    path("registration/<path:device_id>", endpoint(DELETE=views.unregister)),
]
