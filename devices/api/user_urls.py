"""Addresses of users below `<application-id>/<api-key>/users/`."""

from __future__ import annotations

from django.urls import path

from devices.api import user_views as views
from devices.api.envelope import endpoint
from devices.api.limits import Limit, limited

urlpatterns = [
    path("login", endpoint(POST=limited(Limit.LOGINS, views.login))),
    path("logout", endpoint(GET=views.logout)),
    path("register", endpoint(POST=limited(Limit.ACCOUNTS, views.register))),
    path("register/guest", endpoint(POST=limited(Limit.ACCOUNTS, views.register_guest))),
    path("isvalidusertoken/<str:token>", endpoint(GET=views.is_valid_token)),
]
