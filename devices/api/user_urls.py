"""Addresses of users below `<application-id>/<api-key>/users/`."""

from __future__ import annotations

from django.urls import path

from devices.api import user_views as views
from devices.api.envelope import endpoint

urlpatterns = [
    path("login", endpoint(POST=views.login)),
    path("logout", endpoint(GET=views.logout)),
    path("register", endpoint(POST=views.register)),
    path("register/guest", endpoint(POST=views.register_guest)),
    path("isvalidusertoken/<str:token>", endpoint(GET=views.is_valid_token)),
]
