"""Addresses of the console's pages; everything of an application stands below its id."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import include, path

from console import audit  # noqa: F401  # its receivers record sign-ins from the first request on
from console.views import (
    account,
    activity,
    compose,
    control,
    dashboard,
    devices,
    health,
    home,
    keys,
    messages,
    metrics,
    providers,
    trials,
)

application_urls = [
    path("", dashboard.overview, name="dashboard"),
    path("compose/", compose.compose, name="compose"),
    path("compose/preview/", compose.preview, name="compose_preview"),
    path("compose/header-row/", compose.header_row, name="compose_header_row"),
    path("compose/count/", compose.count, name="compose_count"),
    path("compose/test/", trials.try_out, name="compose_trial"),
    path("compose/test/<uuid:message_id>/", trials.show_trial, name="compose_trial_result"),
    path("compose/send/", compose.send, name="compose_send"),
    path("messages/", messages.list_messages, name="message_list"),
    path("messages/<uuid:message_id>/", messages.show_message, name="message"),
    path("messages/<uuid:message_id>/progress/", messages.show_progress, name="message_progress"),
    path("messages/<uuid:message_id>/deliveries/", messages.list_deliveries, name="message_deliveries"),
    path("messages/<uuid:message_id>/deliveries.csv", messages.export_deliveries, name="message_export"),
    path("messages/<uuid:message_id>/confirm-cancel/", messages.confirm_cancel, name="message_confirm_cancel"),
    path("messages/<uuid:message_id>/cancel/", messages.cancel_message, name="message_cancel"),
    path("messages/<uuid:message_id>/edit/", compose.edit, name="message_edit"),
    path("messages/<uuid:message_id>/pause/", control.pause, name="message_pause"),
    path("messages/<uuid:message_id>/resume/", control.resume, name="message_resume"),
    path("messages/<uuid:message_id>/confirm-stop/", control.confirm_stop, name="message_confirm_stop"),
    path("messages/<uuid:message_id>/stop/", control.stop, name="message_stop"),
    path("messages/<uuid:message_id>/retry/", control.retry, name="message_retry"),
    path("devices/", devices.list_devices, name="device_list"),
    path("devices/counts/", devices.count_devices, name="device_counts"),
    path("devices/<int:registration_pk>/", devices.show_device, name="device"),
    path("devices/<int:registration_pk>/deactivate/", devices.deactivate, name="device_deactivate"),
    path("activity/", activity.list_activity, name="activity"),
    path("keys/", keys.list_keys, name="keys"),
    path("keys/<int:key_id>/revoke/", keys.revoke_key, name="key_revoke"),
    path("providers/", providers.list_providers, name="providers"),
    path("providers/lanes/<int:lane_id>/resume/", providers.resume_lane, name="lane_resume"),
    path("providers/<str:service>/pause/", providers.pause_lane, name="lane_pause"),
    path("providers/<str:service>/pace/", providers.set_pace, name="lane_pace"),
    path("providers/<str:service>/check/", providers.check, name="credential_check"),
    path("providers/<str:service>/credential/", providers.set_credential, name="credential"),
]

urlpatterns = [
    path("", home.home, name="home"),
    path("login/", account.Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("account/", account.Account.as_view(), name="account"),
    path("health", health.health, name="health"),
    path("metrics", metrics.metrics, name="metrics"),
    path("apps/<uuid:application_id>/", include(application_urls)),
]
