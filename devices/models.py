"""Tables of who can be reached."""

from __future__ import annotations

import uuid

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

import devices.user_models  # noqa: F401  # tables that Django is to find here
from devices.push_services import Os, PushService


class AndroidPayloadStyle(models.TextChoices):
    """What an FCM message carries; values equal `messaging.providers.notifications.AndroidStyle`."""

    DATA = "data", "Data only (Backendless SDK)"
    NOTIFICATION = "notification", "Notification only"
    BOTH = "both", "Data and notification"


class Application(models.Model):
    """One app whose devices are reached; the tenant everything is looked up through."""

    application_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    #: the application's host name is `<subdomain>.<host>`; REST then lives under `/api/`
    subdomain = models.CharField(max_length=63, unique=True, null=True, blank=True)
    android_payload_style = models.CharField(
        max_length=12, choices=AndroidPayloadStyle, default=AndroidPayloadStyle.BOTH
    )
    #: its providers are the built-in simulators; every page that shows them says so
    is_simulated = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name


class ClientType(models.TextChoices):
    """Which client a key was made for (contract.md 1)."""

    REST = "REST", "REST"
    JS = "JS", "JavaScript"
    IOS = "IOS", "iOS"
    ANDROID = "ANDROID", "Android"
    WP = "WP", "Windows"


class ApiKey(models.Model):
    """A key of one application. Only its keyed hash is stored; the key itself is shown once."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="api_keys")
    label = models.CharField(max_length=100)
    client_type = models.CharField(max_length=8, choices=ClientType, default=ClientType.REST)
    prefix = models.CharField(max_length=8, editable=False)  #: first characters, to recognise a key by
    digest = models.BinaryField(max_length=32, unique=True, editable=False)  #: HMAC-SHA256(pepper, key)
    pepper_id = models.CharField(max_length=16, editable=False)
    may_register = models.BooleanField(default=True)
    may_publish = models.BooleanField(default=False)
    may_read = models.BooleanField(default=True)
    may_subscribe = models.BooleanField(default=True)
    #: stands for calls by the application's host name (`devices.host_keys`)
    is_for_host = models.BooleanField(default=False, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["application", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["application"], condition=Q(is_for_host=True, revoked_at=None), name="api_key_one_for_host"
            )
        ]

    def __str__(self) -> str:
        return f"{self.label} ({self.prefix}…)"


class Channel(models.Model):
    """A named group that messages are published to and devices register with."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="channels")
    name = models.CharField(max_length=128)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["application", "name"], name="channel_unique_name")]

    def __str__(self) -> str:
        return self.name


class RegistrationState(models.TextChoices):
    """Whether pushes go to a registration."""

    ACTIVE = "active", "Active"
    GONE = "gone", "Gone"


class DeviceRegistration(models.Model):
    """One device id + device token + OS in one application. Written only by `devices.registration`."""

    registration_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    # no index of its own: the unique ones begin with it
    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="registrations", db_index=False)
    device_id = models.CharField(max_length=255)
    token = models.TextField()
    token_digest = models.BinaryField(max_length=32, editable=False)  #: SHA-256; tokens outgrow a b-tree entry
    os = models.CharField(max_length=8, choices=Os)
    os_version = models.CharField(max_length=64, blank=True)
    push_service = models.CharField(max_length=8, choices=PushService)
    user_id = models.CharField(max_length=64, blank=True)
    locale = models.CharField(max_length=35, blank=True)
    time_zone = models.CharField(max_length=64, blank=True)
    attributes = models.JSONField(default=dict, blank=True)
    token_set_at = models.DateTimeField(db_default=Now())  #: a push service's "gone since" before this is stale
    expiration = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=8, choices=RegistrationState, default=RegistrationState.ACTIVE)
    gone_reason = models.CharField(max_length=64, blank=True)
    gone_at = models.DateTimeField(null=True, blank=True)
    last_seen_at = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    channels: models.ManyToManyField[Channel, Subscription] = models.ManyToManyField(
        Channel, through="Subscription", related_name="registrations"
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["application", "device_id"], name="registration_unique_device"),
            models.UniqueConstraint(
                fields=["application", "token_digest"], condition=Q(state="active"), name="registration_unique_token"
            ),
        ]
        indexes = [
            models.Index(fields=["application", "os", "id"], name="registration_by_os"),
            models.Index(fields=["expiration"], condition=Q(expiration__isnull=False), name="registration_expiring"),
            # for segment queries; partial, so that registering a device without attributes does not touch it
            GinIndex(
                fields=["attributes"],
                opclasses=["jsonb_path_ops"],
                condition=~Q(attributes={}),
                name="registration_attributes",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.device_id} ({self.os})"


class Subscription(models.Model):
    """Who listens to what; on the wire its id is `<registration>::<channel>`.

    What an audience is counted by is copied from the registration, by triggers (migration 0007).
    """

    # no index of its own: the unique one begins with it
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, db_index=False)
    registration = models.ForeignKey(DeviceRegistration, on_delete=models.CASCADE)
    os = models.CharField(max_length=8, default="", db_default="", editable=False)
    push_service = models.CharField(max_length=8, default="", db_default="", editable=False)
    expiration = models.DateTimeField(null=True, editable=False)
    is_active = models.BooleanField(default=False, db_default=False, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["channel", "registration"], name="subscription_unique")]
        indexes = [
            # an audience is counted from this alone. Of few different values, so that PostgreSQL stores each once:
            # 10 MB for 1,000,000 devices; with INCLUDE it would be 66
            models.Index(
                fields=["channel", "os", "push_service", "expiration"],
                condition=Q(is_active=True),
                name="subscription_reach",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.registration_id}::{self.channel_id}"


class Segment(models.Model):
    """A where clause kept under a name (`devices.segment_query`)."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="segments")
    name = models.CharField(max_length=128)
    query = models.TextField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["application", "name"], name="segment_unique_name")]

    def __str__(self) -> str:
        return self.name
