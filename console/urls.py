"""Every address of the server; the REST API comes first, nothing else begins with an application id."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path, register_converter
from django.urls.converters import StringConverter

from console.login_throttle import ThrottledAdminLoginForm
from console.views import api_docs
from devices.api.envelope import endpoint
from messaging.api import email_views


class ApplicationIdConverter(StringConverter):
    """A UUID, or what somebody took for one: words with hyphens, no name of a page."""

    regex = "[0-9A-Za-z]+(?:-[0-9A-Za-z]+)+"


register_converter(ApplicationIdConverter, "application_id")
handler500 = "console.views.errors.server_error"
admin.site.login_form = ThrottledAdminLoginForm

rest: list[URLPattern | URLResolver] = [
    path("users/", include("devices.api.user_urls")),
    path("messaging/", include("devices.api.urls")),
    path("messaging/", include("messaging.api.urls")),
    path("emailtemplate/send", endpoint(POST=email_views.send_from_template)),
    path("", include("messaging.api.rt_urls")),
    re_path("", endpoint()),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("<application_id:application_id>/<str:api_key>/", include(rest)),
    path("api/openapi.json", api_docs.openapi_json, name="openapi"),
    path("api/docs", api_docs.api_docs, name="api_docs"),
    path("api/", include(rest)),
    path("api", endpoint()),
    path("admin/", admin.site.urls),
    path("", include("console.page_urls")),
    # ids without hyphens, the address of version 3 (`v1/messaging`), half an address: programs ask, so 404 in JSON
    re_path(r"^(?:[^/]+/){1,2}(?:messaging|users|emailtemplate|rt|info)(?:/|$)", endpoint()),
    re_path(r"^[0-9A-Fa-f-]{32,36}(?:/|$)", endpoint()),
]
