"""Data fixes for devices, channels and keys. Bounded pages, no secrets, and nothing here can send."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

import devices.admin_users  # noqa: F401  # registers the admin of users and roles
from devices import segment_query
from devices.api_keys import Permissions
from devices.bounded_admin import BoundedAdmin
from devices.errors import InvalidSegmentQuery
from devices.host_keys import create_host_key
from devices.models import ApiKey, Application, Channel, DeviceRegistration, Segment, Subscription


@admin.register(Application)
class ApplicationAdmin(BoundedAdmin[Application]):
    """Applications; deleting one would delete its devices and messages, so that is not offered."""

    list_display = ("name", "application_id", "subdomain", "android_payload_style", "is_simulated", "created_at")
    search_fields = ("name", "subdomain", "application_id")
    readonly_fields = ("application_id", "is_simulated", "created_at")
    actions = ("make_host_keys",)

    def has_delete_permission(self, request: HttpRequest, obj: Application | None = None) -> bool:
        """Not here."""
        return False

    @admin.action(description="Let the host name stand for a key (it may register, read and listen)")
    def make_host_keys(self, request: HttpRequest, queryset: QuerySet[Application]) -> None:
        """`https://<subdomain>.<host>/api/...` works from now on; what it may do is set on the key."""
        for application in queryset.exclude(subdomain=None).exclude(subdomain=""):
            create_host_key(application, Permissions())


@admin.register(ApiKey)
class ApiKeyAdmin(BoundedAdmin[ApiKey]):
    """Permissions, expiry and revocation. Keys are made where they can be shown once: `create_application`."""

    list_display = (
        "label", "application", "client_type", "prefix", "may_register", "may_publish", "last_used_at", "revoked_at",
    )  # fmt: skip
    list_filter = ("client_type", "may_publish")
    list_select_related = ("application",)
    search_fields = ("label", "prefix", "application__name")
    autocomplete_fields = ("application",)
    readonly_fields = ("prefix", "pepper_id", "last_used_at", "created_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A key made here could not be shown."""
        return False


@admin.register(Channel)
class ChannelAdmin(BoundedAdmin[Channel]):
    """Channels; to delete one would list its subscriptions, up to every device, so that is not offered."""

    list_display = ("name", "application", "created_at")
    list_select_related = ("application",)
    search_fields = ("name",)
    autocomplete_fields = ("application",)
    readonly_fields = ("created_at",)

    def has_delete_permission(self, request: HttpRequest, obj: Channel | None = None) -> bool:
        """Not here."""
        return False


class SubscriptionInline(admin.TabularInline[Subscription, DeviceRegistration]):
    """Channels of one device: at most a hundred by the API's own limit."""

    model = Subscription
    autocomplete_fields = ("channel",)
    extra = 0
    max_num = 100


@admin.register(DeviceRegistration)
class DeviceRegistrationAdmin(BoundedAdmin[DeviceRegistration]):
    """Devices. A token comes from its app alone, so it is shown shortened and cannot be changed."""

    list_display = ("device_id", "application", "os", "push_service", "state", "gone_reason", "last_seen_at")
    list_filter = ("os", "push_service", "state")
    list_select_related = ("application",)
    #: by equality: a search within a million device ids would read them all
    search_fields = ("device_id__exact", "user_id__exact")
    exclude = ("token",)
    readonly_fields = (
        "registration_id", "application", "short_token", "push_service", "token_set_at", "last_seen_at", "created_at",
    )  # fmt: skip
    inlines = (SubscriptionInline,)
    ordering = ("-id",)

    @admin.display(description="token")
    def short_token(self, registration: DeviceRegistration) -> str:
        """Enough to recognise it, not enough to send to it."""
        return f"{registration.token[:8]}…"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Devices register through the API."""
        return False

    def delete_model(self, request: HttpRequest, obj: DeviceRegistration) -> None:
        """One, in the same order as several."""
        self.delete_queryset(request, DeviceRegistration.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[DeviceRegistration]) -> None:
        """Devices first, then what they listen to, as whoever registers: else the two wait in a circle."""
        with transaction.atomic():
            held = DeviceRegistration.objects.filter(pk__in=queryset.values("pk")).order_by("pk").select_for_update()
            DeviceRegistration.objects.filter(pk__in=list(held.values_list("pk", flat=True))).delete()


@admin.register(Subscription)
class SubscriptionAdmin(BoundedAdmin[Subscription]):
    """Who listens to what."""

    list_display = ("channel", "registration", "created_at")
    list_select_related = ("channel", "registration")
    search_fields = ("registration__device_id__exact",)
    autocomplete_fields = ("channel",)
    raw_id_fields = ("registration",)
    readonly_fields = ("created_at",)
    ordering = ("-id",)


class SegmentForm(forms.ModelForm[Segment]):
    """A query that cannot be read cannot be saved."""

    class Meta:
        model = Segment
        fields = ("application", "name", "query")

    def clean_query(self) -> str:
        """The where clause."""
        query: str = self.cleaned_data["query"]
        try:
            segment_query.check(query)
        except InvalidSegmentQuery as error:
            raise ValidationError(error.message) from error
        return query


@admin.register(Segment)
class SegmentAdmin(BoundedAdmin[Segment]):
    """Where clauses kept under a name."""

    form = SegmentForm
    list_display = ("name", "application", "query", "updated_at")
    list_select_related = ("application",)
    search_fields = ("name",)
    autocomplete_fields = ("application",)
