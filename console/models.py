"""Tables of the console: who may work with which application, and what was done."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from devices.models import Application


class Membership(models.Model):
    """A person's access to one application. Superusers reach every application without one."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="memberships")
    may_send = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "application"], name="membership_unique")]

    def __str__(self) -> str:
        return f"{self.user} in {self.application}"


class AuditEntry(models.Model):
    """Something a person did. Append-only: a trigger refuses UPDATE and DELETE."""

    at = models.DateTimeField(db_default=Now())
    actor = models.CharField(max_length=150)  #: user name, kept when the user is deleted
    address = models.GenericIPAddressField(null=True)
    application_id = models.BigIntegerField(null=True)
    action = models.CharField(max_length=64)  #: e.g. "message.publish"
    subject = models.CharField(max_length=255, blank=True)  #: what it was done to, e.g. a message id
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.actor} {self.action}"
