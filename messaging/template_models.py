"""Tables of push templates and what they refer to by name (contract.md 5)."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from devices.channels import DEFAULT_CHANNEL
from devices.models import Application
from devices.push_services import Os


class ButtonPlatform(models.TextChoices):
    """Whose buttons they are."""

    ANDROID = "ANDROID", "Android"
    IOS = "IOS", "iOS"


class PushTemplate(models.Model):
    """A notification with its audience, pushed by name. The options are checked by `messaging.template_options`."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="push_templates")
    name = models.CharField(max_length=128)
    message = models.TextField(blank=True)  #: smart text
    #: empty: every operating system
    platforms: ArrayField[list[str], list[str]] = ArrayField(
        models.CharField(max_length=8, choices=Os), default=list, blank=True
    )
    channel_name = models.CharField(max_length=128, default=DEFAULT_CHANNEL)
    segment_query = models.TextField(blank=True)  #: a where clause; values of the call may be filled in
    android = models.JSONField(default=dict, blank=True)
    ios = models.JSONField(default=dict, blank=True)
    osx = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["application", "name"], name="push_template_unique_name")]

    def __str__(self) -> str:
        return self.name


class ButtonTemplate(models.Model):
    """A set of buttons."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="button_templates")
    platform = models.CharField(max_length=8, choices=ButtonPlatform)
    name = models.CharField(max_length=128)
    buttons = models.JSONField(default=list)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["application", "platform", "name"], name="button_template_unique_name")
        ]

    def __str__(self) -> str:
        return self.name


class AndroidChannelTemplate(models.Model):
    """Options of an Android notification channel. Devices that know the channel keep what they have."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="android_channel_templates")
    name = models.CharField(max_length=128)
    options = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["application", "name"], name="android_channel_template_unique_name")
        ]

    def __str__(self) -> str:
        return self.name
