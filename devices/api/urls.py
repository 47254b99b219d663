"""Addresses of device registration below `<application-id>/<api-key>/messaging/`."""

from __future__ import annotations

from django.urls import path, register_converter
from django.urls.converters import PathConverter

from devices.api import views
from devices.api.envelope import endpoint


class DeviceIdConverter(PathConverter):
    """Any text: an id may hold slashes and line breaks."""

    regex = "(?s:.+)"


register_converter(DeviceIdConverter, "device_id")

_device = endpoint(GET=views.get, DELETE=views.unregister)

urlpatterns = [
    path("registrations", endpoint(POST=views.register)),
    path("registrations/<device_id:device_id>", _device),
    # the singular stands in the documentation's curl sample
    path("registration/<device_id:device_id>", endpoint(DELETE=views.unregister)),
]
