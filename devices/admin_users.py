"""Users of the apps, their roles and what roles may do. Passwords are set, never shown; a new one ends every login."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.http import HttpRequest

from devices.app_users import log_out_everywhere
from devices.bounded_admin import BoundedAdmin, Row
from devices.permissions import BuiltInRole
from devices.user_models import AppUser, FailedLogin, Role, RolePermission, UserToken

_BUILT_IN = frozenset(role.value for role in BuiltInRole)


class AppUserForm(forms.ModelForm[AppUser]):
    """An account; the password box is empty unless a new one is set."""

    new_password = forms.CharField(required=False, strip=False, widget=forms.PasswordInput, max_length=255)

    class Meta:
        model = AppUser
        fields = ("application", "login", "email", "name", "properties", "roles", "is_disabled")

    def clean_login(self) -> str | None:
        """Guests have none; two of them are not the same."""
        return self.cleaned_data["login"] or None

    def clean(self) -> dict[str, Any]:
        """Roles are the application's own, and not built in."""
        cleaned: dict[str, Any] = super().clean() or {}
        for role in cleaned.get("roles") or []:
            if role.application != cleaned.get("application") or role.name in _BUILT_IN:
                raise ValidationError({"roles": f"Nobody of this application can be put into {role.name}."})
        return cleaned


@admin.register(AppUser)
class AppUserAdmin(BoundedAdmin[AppUser]):
    """Accounts."""

    form = AppUserForm
    list_display = ("__str__", "application", "name", "is_disabled", "last_login_at", "created_at")
    list_filter = ("is_disabled",)
    list_select_related = ("application",)
    #: by equality: a search within a million users would read them all
    search_fields = ("login__iexact", "object_id__exact")
    autocomplete_fields = ("application", "roles")
    readonly_fields = ("object_id", "last_login_at", "created_at")

    def save_model(self, request: HttpRequest, obj: AppUser, form: forms.ModelForm[AppUser], change: bool) -> None:
        """With a new password, and when disabled, every token is dead."""
        new_password = form.cleaned_data["new_password"]
        if new_password:
            obj.password = make_password(new_password)
        super().save_model(request, obj, form, change)
        if new_password or obj.is_disabled:
            log_out_everywhere(obj)


class RolePermissionInline(admin.TabularInline[RolePermission, Role]):
    """What the role says."""

    model = RolePermission
    autocomplete_fields = ("channel",)
    extra = 0
    max_num = 200


@admin.register(Role)
class RoleAdmin(BoundedAdmin[Role]):
    """Roles. One that is called like a built-in role is that role."""

    list_display = ("name", "application")
    list_select_related = ("application",)
    search_fields = ("name",)
    autocomplete_fields = ("application",)
    inlines = (RolePermissionInline,)


@admin.register(RolePermission)
class RolePermissionAdmin(BoundedAdmin[RolePermission]):
    """Every word of every role."""

    list_display = ("role", "operation", "decision", "channel")
    list_filter = ("operation", "decision")
    list_select_related = ("role", "channel")
    autocomplete_fields = ("role", "channel")


class _MadeByLogins(BoundedAdmin[Row]):
    """Rows that logging in makes; deleting one is all there is to do."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Not by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nothing in them can be changed."""
        return False


@admin.register(UserToken)
class UserTokenAdmin(_MadeByLogins[UserToken]):
    """Who is logged in; deleting a token logs its user out."""

    list_display = ("user", "created_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("user__login__iexact",)
    exclude = ("digest",)


@admin.register(FailedLogin)
class FailedLoginAdmin(_MadeByLogins[FailedLogin]):
    """Wrong passwords; deleting a row ends a cool-off."""

    list_display = ("began_at", "failures")
    exclude = ("digest",)
