"""Addresses of device registration below `<application-id>/<api-key>/messaging/`."""

from __future__ import annotations

from django.urls import path, register_converter
from django.urls.converters import PathConverter

from devices.api import views
from devices.api.envelope import endpoint
from devices.api.limits import Limit, limited


class DeviceIdConverter(PathConverter):
    """Any text: an id may hold slashes and line breaks."""

    regex = "(?s:.+)"


register_converter(DeviceIdConverter, "device_id")

_unregister = limited(Limit.REGISTRATIONS, views.unregister)

urlpatterns = [
    path("registrations", endpoint(POST=limited(Limit.REGISTRATIONS, views.register))),
    path("registrations/<device_id:device_id>", endpoint(GET=views.get, DELETE=_unregister)),
    # the singular stands in the documentation's curl sample
    path("registration/<device_id:device_id>", endpoint(DELETE=_unregister)),
]
