"""Messages and what became of them, to read; lanes and credentials, to mend. Nothing here can send or unsend."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

import messaging.admin_api  # noqa: F401  # registers tables of its own
import messaging.admin_templates  # noqa: F401
from devices.bounded_admin import BoundedAdmin, Row
from messaging.models import (
    Batch,
    DeliveryRecord,
    Lane,
    LatencyCount,
    Message,
    Occurrence,
    OutcomeCount,
    Pace,
    ProviderCredential,
    StoredAccessToken,
    WorkerGroup,
)


class ReadOnlyAdmin(BoundedAdmin[Row]):
    """A record of what happened: written by the sender alone."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Messages are published, in the console or through the API."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """The record stays as it was written."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """The record stays."""
        return False


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin[Message]):
    """What was published."""

    list_display = ("wire_id", "application", "channel_name", "publish_policy", "status", "created_at")
    list_filter = ("status", "publish_policy")
    list_select_related = ("application",)
    search_fields = ("message_id__exact",)


@admin.register(Occurrence)
class OccurrenceAdmin(ReadOnlyAdmin[Occurrence]):
    """Firings and, once closed, their counts."""

    list_display = ("id", "message", "n", "state", "due_at", "targeted", "accepted", "failed", "skipped", "closed_at")
    list_filter = ("state",)
    list_select_related = ("message",)
    search_fields = ("message__message_id__exact",)
    ordering = ("-id",)


@admin.register(DeliveryRecord)
class DeliveryAdmin(ReadOnlyAdmin[DeliveryRecord]):
    """What became of each device. Search by the number of an occurrence, or `<occurrence>-<registration>`."""

    list_display = ("id", "push_service", "outcome", "reason", "http_status", "tries", "finished_at")
    search_fields = ("occurrence_id__exact",)
    search_help_text = "Number of an occurrence, or occurrence-registration"
    ordering = ("occurrence_id", "registration_id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DeliveryRecord], search_term: str
    ) -> tuple[QuerySet[DeliveryRecord], bool]:
        """Nothing until an occurrence is named: all deliveries together are too many to sort."""
        occurrence, _, registration = search_term.strip().partition("-")
        if not occurrence.isdigit() or len(occurrence) > 18 or (registration and not registration.isdigit()):
            return queryset.none(), False
        found = queryset.filter(occurrence_id=int(occurrence))
        return (found.filter(registration_id=int(registration[:18])) if registration else found), False


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin[Batch]):
    """Who is sending what right now."""

    list_display = ("id", "occurrence_id", "push_service", "state", "attempt", "owner", "lease_until", "targeted")
    list_filter = ("state", "push_service")
    search_fields = ("=occurrence__id",)
    ordering = ("-id",)


@admin.register(ProviderCredential)
class ProviderCredentialAdmin(BoundedAdmin[ProviderCredential]):
    """Which credentials there are. They are set in the console or by `set_credential`; the secret is never shown."""

    list_display = ("application", "push_service", "fingerprint", "version", "updated_at")
    list_filter = ("push_service",)
    list_select_related = ("application",)
    readonly_fields = ("application", "push_service", "facts", "fingerprint", "version", "updated_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A secret is checked and encrypted on its way in."""
        return False


@admin.register(StoredAccessToken)
class StoredAccessTokenAdmin(BoundedAdmin[StoredAccessToken]):
    """Access tokens in use; deleting one makes the senders ask for another."""

    list_display = ("credential", "kind", "issued_at", "expires_at")
    list_select_related = ("credential__application",)
    readonly_fields = ("credential", "kind", "issued_at", "expires_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """They come from the push services."""
        return False


@admin.register(Lane)
class LaneAdmin(BoundedAdmin[Lane]):
    """Whether requests may leave; an operator can open a lane whose cause is mended."""

    list_display = ("application", "push_service", "origin", "state", "throttled_until", "paused_because")
    list_filter = ("state", "push_service")
    list_select_related = ("application",)
    search_fields = ("origin", "application__name")
    autocomplete_fields = ("application",)
    readonly_fields = ("since", "last_accepted_at", "last_failed_at", "last_failure")


@admin.register(WorkerGroup)
class WorkerGroupAdmin(ReadOnlyAdmin[WorkerGroup]):
    """Tickers and clusters of workers, and when each was last seen."""

    list_display = ("name", "kind", "workers", "started_at", "seen_at")
    list_filter = ("kind",)


@admin.register(Pace)
class PaceAdmin(BoundedAdmin[Pace]):
    """Token buckets; deleting one starts it afresh, with its ramp."""

    list_display = ("key", "credit", "share", "asked_at", "busy_since")
    search_fields = ("key",)
    readonly_fields = ("key", "credit", "asked_at", "busy_since", "share", "slowed_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The senders make them."""
        return False


@admin.register(LatencyCount)
class LatencyCountAdmin(ReadOnlyAdmin[LatencyCount]):
    """The histograms of /metrics."""

    list_display = ("latency", "bucket", "firings", "seconds")
    list_filter = ("latency",)


@admin.register(OutcomeCount)
class OutcomeCountAdmin(ReadOnlyAdmin[OutcomeCount]):
    """The counters of /metrics."""

    list_display = ("push_service", "outcome", "reason", "devices")
    list_filter = ("push_service", "outcome")
