"""Tables of the people who use an application's apps: logins, tokens, roles, what roles may do (contract.md 3, 7)."""

from __future__ import annotations

import uuid

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now


def new_object_id() -> str:
    """An id as the hosted original's look."""
    return str(uuid.uuid4()).upper()


class Role(models.Model):
    """A name that permissions hang on. The built-in ones (`devices.permissions.BuiltInRole`) have no members."""

    application = models.ForeignKey("devices.Application", on_delete=models.CASCADE, related_name="roles")
    name = models.CharField(max_length=64)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["application", "name"], name="role_unique_name")]

    def __str__(self) -> str:
        return self.name


class AppUser(models.Model):
    """Somebody with an account in an application. Written by `devices.app_users` and Django admin."""

    object_id = models.CharField(max_length=64, unique=True, default=new_object_id, editable=False)
    application = models.ForeignKey("devices.Application", on_delete=models.CASCADE, related_name="users")
    login = models.CharField(max_length=255, null=True)  #: e-mail address or name; null for guests
    password = models.CharField(max_length=255, blank=True)  #: by Django's hashers; "" cannot log in
    email = models.CharField(max_length=255, blank=True)
    name = models.CharField(max_length=255, blank=True)
    properties = models.JSONField(default=dict, blank=True)  #: what the app keeps of them
    is_disabled = models.BooleanField(default=False)
    roles: models.ManyToManyField[Role, models.Model] = models.ManyToManyField(Role, blank=True, related_name="members")
    last_login_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint("application", Lower("login"), name="app_user_unique_login")]
        indexes = [  # for segment queries
            models.Index(fields=["application", "email"], condition=~Q(email=""), name="app_user_email"),
            GinIndex(
                fields=["properties"],
                opclasses=["jsonb_path_ops"],
                condition=~Q(properties={}),
                name="app_user_properties",
            ),
        ]

    def __str__(self) -> str:
        return self.login or f"guest {self.object_id}"


class UserToken(models.Model):
    """Proof of a login. Only a hash of the token is stored: it has 256 random bits and needs no salt."""

    user = models.ForeignKey(AppUser, on_delete=models.CASCADE, related_name="tokens")
    digest = models.BinaryField(max_length=32, unique=True)  #: SHA-256
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"token of {self.user_id}"


class FailedLogin(models.Model):
    """Wrong passwords for a login, from one address or from all; without failures, an address it is known to use.

    A cool-off, never a permanent lock. Written by `devices.login_guesses`.
    """

    digest = models.BinaryField(max_length=32, unique=True)  #: SHA-256, see `devices.login_guesses.attempt`
    failures = models.IntegerField(default=1)
    began_at = models.DateTimeField(db_default=Now(), db_index=True)

    def __str__(self) -> str:
        return f"{self.failures} failures"


class Operation(models.TextChoices):
    """What roles may be granted or denied."""

    PUBLISH = "publish", "Publish messages"
    SUBSCRIBE = "subscribe", "Listen to messages"


class Decision(models.TextChoices):
    """What a role says of an operation."""

    GRANT = "grant", "Grant"
    DENY = "deny", "Deny"


class RolePermission(models.Model):
    """One role's word on one operation, in one channel or, without one, in the whole application."""

    role = models.ForeignKey(Role, on_delete=models.CASCADE, related_name="permissions")
    channel = models.ForeignKey(
        "devices.Channel", null=True, blank=True, on_delete=models.CASCADE, related_name="permissions"
    )
    operation = models.CharField(max_length=12, choices=Operation)
    decision = models.CharField(max_length=5, choices=Decision)

    class Meta:
        ordering = ["role", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["role", "channel", "operation"], name="role_permission_unique", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.role}: {self.decision} {self.operation}"
