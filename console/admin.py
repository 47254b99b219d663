"""Data fixes for the console's own tables."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from console.models import AuditEntry, Membership


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin[Membership]):
    """Who may open which application."""

    list_display = ("user", "application", "may_send")
    list_filter = ("may_send",)
    list_select_related = ("user", "application")
    search_fields = ("user__username", "application__name")
    autocomplete_fields = ("user",)
    list_per_page = 50
    show_full_result_count = False


@admin.register(AuditEntry)
class AuditEntryAdmin(admin.ModelAdmin[AuditEntry]):
    """To read only: the database refuses changes as well."""

    list_display = ("at", "actor", "address", "action", "subject")
    list_filter = ("action",)
    search_fields = ("actor", "subject")
    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Entries come from what people do."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        """Append-only."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        """Append-only."""
        return False
