"""Data fixes for the console's own tables."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django_q.models import Failure, OrmQ, Schedule, Success

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


class JobRecordAdmin(admin.ModelAdmin[Model]):
    """Background jobs, to read only: a schedule names any function, so whoever could write one could run anything."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """`messaging.queue` makes them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nor is one changed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nor removed."""
        return False


class ScheduleAdmin(JobRecordAdmin):
    """Housekeeping, and when it runs next."""

    list_display = ("name", "func", "schedule_type", "minutes", "next_run")


class FailureAdmin(JobRecordAdmin):
    """Jobs that failed, with the reason; what they had to do is done by the next one."""

    list_display = ("name", "func", "started", "stopped")


for model in (Schedule, Success, Failure, OrmQ):
    if admin.site.is_registered(model):
        admin.site.unregister(model)
admin.site.register(Schedule, ScheduleAdmin)
admin.site.register(Failure, FailureAdmin)
