"""Tables of what the REST API itself remembers: publishes under an Idempotency-Key, polling subscriptions."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class IdempotencyKey(models.Model):
    """A message that was published under a key of the caller's choice. Written in the message's own transaction."""

    application = models.ForeignKey("devices.Application", on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    request_digest = models.BinaryField(max_length=32)  #: SHA-256 over address and body
    message = models.ForeignKey("messaging.Message", on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["application", "key"], name="idempotency_key_unique")]

    def __str__(self) -> str:
        return self.key


class PollingSubscription(models.Model):
    """Somebody who asks for messages instead of listening (docs/rest/pubsub_retrieve_messages)."""

    subscription_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    channel = models.ForeignKey("devices.Channel", on_delete=models.CASCADE, related_name="polling_subscriptions")
    subscriber_id = models.CharField(max_length=255, blank=True)
    selector = models.TextField(blank=True)
    subtopic = models.CharField(max_length=255, blank=True)
    #: occurrences of the last minute that were given; an id says nothing about when a firing came
    given: ArrayField[list[int], list[int]] = ArrayField(models.BigIntegerField(), default=list, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    polled_at = models.DateTimeField(db_default=Now(), db_index=True, editable=False)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return str(self.subscription_id)
