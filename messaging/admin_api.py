"""What the REST API remembers, to look at and to remove."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from devices.bounded_admin import BoundedAdmin, Row
from messaging.api_models import IdempotencyKey, PollingSubscription


class _MadeByCalls(BoundedAdmin[Row]):
    """Rows that API calls make; deleting one is all there is to do."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Not by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nothing in them can be changed."""
        return False


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(_MadeByCalls[IdempotencyKey]):
    """Keys of the last 30 days; deleting one lets the same call publish again."""

    list_display = ("key", "application", "message", "created_at")
    list_select_related = ("application", "message")
    search_fields = ("key__exact",)
    exclude = ("request_digest",)


@admin.register(PollingSubscription)
class PollingSubscriptionAdmin(_MadeByCalls[PollingSubscription]):
    """Who asks for messages by polling."""

    list_display = ("subscription_id", "channel", "selector", "subtopic", "polled_at")
    list_select_related = ("channel",)
    search_fields = ("subscription_id__exact", "subscriber_id__exact")
