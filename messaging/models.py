"""Tables of what is sent and what became of it (design.md 4). No behaviour beyond derived properties."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

import messaging.api_models  # noqa: F401  # tables that Django is to find here
import messaging.template_models  # noqa: F401
from devices.models import ApiKey, Application, Channel
from devices.push_services import PushService


class PublishPolicy(models.TextChoices):
    """Whether a message goes out as push, as pub/sub message, or both (seed 0)."""

    PUSH = "PUSH", "Push only"
    PUBSUB = "PUBSUB", "Pub/sub only"
    BOTH = "BOTH", "Push and pub/sub"


class MessageStatus(models.TextChoices):
    """The statuses of the wire (seeds 0 and 1)."""

    SCHEDULED = "SCHEDULED", "Scheduled"
    PUBLISHED = "PUBLISHED", "Published"
    CANCELLED = "CANCELLED", "Cancelled"
    FAILED = "FAILED", "Failed"


class InDoubtPolicy(models.TextChoices):
    """What to do when a request left and no answer came: it may have been delivered (reliability.md P5)."""

    RESEND = "resend", "Send again (may show twice)"
    SKIP = "skip", "Do not send again (may be lost)"


class Message(models.Model):
    """What somebody published. Created and cancelled only by `messaging.publishing`."""

    message_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="messages")
    channel = models.ForeignKey(Channel, null=True, on_delete=models.SET_NULL, related_name="messages")
    channel_name = models.CharField(max_length=128)  #: stays when the channel is deleted
    body = models.JSONField(null=True)
    headers = models.JSONField(default=dict)  #: str -> str
    publisher_id = models.CharField(max_length=255, blank=True)
    subtopic = models.CharField(max_length=255, blank=True)
    publish_policy = models.CharField(max_length=8, choices=PublishPolicy, default=PublishPolicy.BOTH)
    is_policy_named = models.BooleanField(default=False)  #: BOTH was asked for, not assumed
    push_broadcast = models.SmallIntegerField(null=True)  #: OsMask; null when not given
    push_singlecast: ArrayField[list[str] | None, list[str] | None] = ArrayField(models.TextField(), null=True)
    segment_query = models.TextField(blank=True)  #: a where clause, as it was when published
    template = models.JSONField(null=True)  #: messaging.templates.TemplateSnapshot; null when not from a template
    publish_at = models.DateTimeField(null=True)
    repeat_every = models.DurationField(null=True)
    repeat_expires_at = models.DateTimeField(null=True)
    cron = models.CharField(max_length=100, blank=True)  #: wall-clock repeat, five fields; "" for none
    cron_zone = models.CharField(max_length=64, blank=True)  #: IANA zone of `cron`
    ttl = models.DurationField(null=True)  #: from an occurrence's due time; nothing is sent after it
    in_doubt = models.CharField(max_length=8, choices=InDoubtPolicy, default=InDoubtPolicy.RESEND)
    requests_per_second = models.IntegerField(null=True)  #: at most, over all workers
    status = models.CharField(max_length=12, choices=MessageStatus, default=MessageStatus.SCHEDULED)
    error_message = models.TextField(blank=True)
    content_version = models.IntegerField(default=1)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    api_key = models.ForeignKey(ApiKey, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["application", "-id"], name="message_newest")]

    def __str__(self) -> str:
        return self.wire_id

    @property
    def wire_id(self) -> str:
        """The id clients see: `message:` and the UUID in upper case (contract.md 1)."""
        return f"message:{str(self.message_id).upper()}"


class OccurrenceState(models.TextChoices):
    """The life of one firing."""

    SCHEDULED = "scheduled", "Scheduled"
    PLANNING = "planning", "Resolving audience"
    SENDING = "sending", "Sending"
    DONE = "done", "Done"
    CANCELLED = "cancelled", "Cancelled"
    SKIPPED = "skipped", "Skipped"


class Occurrence(models.Model):
    """One firing of a message: its audience snapshot and, once closed, its counts.

    While it is open the counts are the sums over its batches; `messaging.ledger` gives them in either case.
    """

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="occurrences")
    n = models.IntegerField(default=1)  #: firing of the series
    retry_no = models.IntegerField(default=0)  #: 0 the firing itself, above: its failed devices once more
    due_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=OccurrenceState, default=OccurrenceState.SCHEDULED)
    skip_reason = models.CharField(max_length=64, blank=True)
    audience_bound = models.BigIntegerField(null=True)  #: highest registration id that belongs to it
    planned_through = models.BigIntegerField(default=0)  #: registration ids up to here are in batches
    planned_at = models.DateTimeField(null=True)  #: planning ended
    claimed_at = models.DateTimeField(null=True)
    paused_at = models.DateTimeField(null=True)  #: somebody paused it; null when it may be sent
    first_request_at = models.DateTimeField(null=True)
    last_outcome_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)  #: nothing is pending any more
    targeted = models.IntegerField(default=0)
    accepted = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    skipped = models.IntegerField(default=0)

    class Meta:
        ordering = ["-due_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["message", "n", "retry_no"], name="occurrence_unique_n")]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="scheduled"), name="occurrence_due"),
            models.Index(
                fields=["id"], condition=Q(closed_at__isnull=True) & ~Q(state="scheduled"), name="occurrence_open"
            ),
            models.Index(fields=["closed_at"], condition=Q(closed_at__isnull=False), name="occurrence_closed"),
            # what went out in the last minute, for polling subscribers
            models.Index(Coalesce("claimed_at", "closed_at"), name="occurrence_fired"),
        ]

    def __str__(self) -> str:
        return f"{self.message_id} #{self.n}"


class BatchState(models.TextChoices):
    """Who has a batch."""

    WAITING = "waiting", "Waiting"
    SENDING = "sending", "Sending"
    DONE = "done", "Done"


class Batch(models.Model):
    """Up to 1,000 devices of one occurrence and one push service, taken by one drain at a time.

    `attempt` fences: a write that names an older attempt changes nothing. Counts move in the transaction that
    writes the deliveries, so `targeted = accepted + failed + skipped + pending` holds at every instant.
    """

    occurrence = models.ForeignKey(Occurrence, on_delete=models.CASCADE, related_name="batches")
    push_service = models.CharField(max_length=8, choices=PushService)
    registration_ids: ArrayField[list[int], list[int]] = ArrayField(models.BigIntegerField())
    state = models.CharField(max_length=8, choices=BatchState, default=BatchState.WAITING)
    due_at = models.DateTimeField(db_default=Now())  #: not before; later than now for retries
    turn = models.BigIntegerField(default=0)  #: place in the queue, see `messaging.fanout`
    tries = models.SmallIntegerField(default=0)  #: requests each of its devices has already had
    attempt = models.IntegerField(default=0)
    begun = models.BigIntegerField(default=0)  #: in_doubt "skip": requests may have left up to this registration id
    owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True)
    targeted = models.IntegerField()
    accepted = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    skipped = models.IntegerField(default=0)

    class Meta:
        verbose_name_plural = "batches"
        ordering = ["id"]
        indexes = [
            models.Index(fields=["turn", "id"], condition=~Q(state="done"), name="batch_open"),
        ]

    def __str__(self) -> str:
        return f"batch {self.pk}"


class DeliveryOutcome(models.TextChoices):
    """How it ended for one device (reliability.md P3). Every outcome counts as accepted, failed or skipped."""

    ACCEPTED = "accepted", "Accepted"
    GONE = "gone", "Token is dead"
    FAILED = "failed", "Failed"
    EXHAUSTED = "exhausted", "Failed after retries"
    EXPIRED = "expired", "Expired before it could be sent"
    DROPPED = "dropped", "Dropped by the push service"
    UNKNOWN = "unknown", "No answer, not sent again"
    UNREGISTERED = "unregistered", "Unregistered meanwhile"
    CANCELLED = "cancelled", "Cancelled"
    NOT_SENDABLE = "not_sendable", "Cannot be sent to this device"


#: outcomes counted as skipped: no request was made for the device
SKIPPED_OUTCOMES = frozenset(
    {DeliveryOutcome.EXPIRED, DeliveryOutcome.UNREGISTERED, DeliveryOutcome.CANCELLED, DeliveryOutcome.NOT_SENDABLE}
)


class Delivery(models.Model):
    """One registration in one occurrence and what became of it. Written once, by COPY, in `messaging.feedback`.

    Partitioned by week of `fired_on` so that retention drops tables instead of deleting rows; the partitions
    are made by `messaging.partitions`. No foreign keys: they cost a look-up per row.
    """

    pk = models.CompositePrimaryKey("fired_on", "occurrence_id", "registration_id")
    fired_on = models.DateField()
    occurrence_id = models.BigIntegerField()
    registration_id = models.BigIntegerField()
    push_service = models.CharField(max_length=8, choices=PushService)
    outcome = models.CharField(max_length=12, choices=DeliveryOutcome)
    reason = models.CharField(max_length=64)
    http_status = models.SmallIntegerField()
    provider_id = models.TextField()
    detail = models.TextField()
    tries = models.SmallIntegerField()
    finished_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "messaging_delivery"

    def __str__(self) -> str:
        return f"{self.occurrence_id}/{self.registration_id}"


class DeliveryRecord(models.Model):
    """`Delivery` with an id of one column, which Django's admin needs. A view: to read."""

    id = models.TextField(primary_key=True)  #: `<occurrence>-<registration>`
    occurrence_id = models.BigIntegerField()
    registration_id = models.BigIntegerField()
    fired_on = models.DateField()
    push_service = models.TextField()
    outcome = models.TextField()
    reason = models.TextField()
    http_status = models.SmallIntegerField()
    provider_id = models.TextField()
    detail = models.TextField()
    tries = models.SmallIntegerField()
    finished_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "messaging_delivery_record"
        verbose_name = "delivery"
        verbose_name_plural = "deliveries"

    def __str__(self) -> str:
        return self.id


class ProviderCredential(models.Model):
    """What one application sends with through one push service. The secret is encrypted and never shown again."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="credentials")
    push_service = models.CharField(max_length=8, choices=PushService)
    facts = models.JSONField(default=dict)  #: what may be shown: project id, key id, topic, ...
    secret = models.BinaryField(editable=False)  #: AES-GCM, see `messaging.secrets`
    fingerprint = models.CharField(max_length=16, editable=False)
    version = models.IntegerField(default=1)  #: grows with every change; senders rebuild their provider
    updated_at = models.DateTimeField(auto_now=True)
    checked_at = models.DateTimeField(null=True, editable=False)  #: `messaging.credential_check`, this version
    check_ok = models.BooleanField(null=True, editable=False)
    check_detail = models.TextField(blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["application", "push_service"], name="credential_unique_service")
        ]

    def __str__(self) -> str:
        return f"{self.get_push_service_display()} of {self.application}"


class StoredAccessToken(models.Model):
    """An access token shared by every worker (APNs refuses a fresh one more often than every 20 minutes)."""

    credential = models.ForeignKey(ProviderCredential, on_delete=models.CASCADE, related_name="access_tokens")
    kind = models.CharField(max_length=255)
    value = models.BinaryField(editable=False)  #: encrypted like a credential
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["credential", "kind"], name="access_token_unique")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.credential_id}"


class LaneState(models.TextChoices):
    """Whether requests may leave."""

    OPEN = "open", "Open"
    THROTTLED = "throttled", "Throttled"
    PAUSED = "paused", "Paused"


class Lane(models.Model):
    """Application + push service (+ origin): the road requests take together, and whether it is free."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="lanes")
    push_service = models.CharField(max_length=8, choices=PushService)
    origin = models.CharField(max_length=255, blank=True)  #: Web Push: one push server; "" otherwise
    state = models.CharField(max_length=10, choices=LaneState, default=LaneState.OPEN)
    throttled_until = models.DateTimeField(null=True, blank=True)
    paused_because = models.TextField(blank=True)
    since = models.DateTimeField(db_default=Now())
    last_accepted_at = models.DateTimeField(null=True, blank=True)
    last_failed_at = models.DateTimeField(null=True, blank=True)
    last_failure = models.CharField(max_length=64, blank=True)
    #: at most, over all workers; null: the push service's own quota, 0: unlimited
    requests_per_second = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["application", "push_service", "origin"], name="lane_unique")]

    def __str__(self) -> str:
        return f"{self.get_push_service_display()} {self.origin}".strip()


class Pace(models.Model):
    """A token bucket that all workers share, see `messaging.pacing`."""

    key = models.CharField(max_length=64, primary_key=True)  #: lane/<application>/<push service>, message/<id>
    credit = models.FloatField()  #: requests that may leave, as of `asked_at`
    asked_at = models.DateTimeField()
    busy_since = models.DateTimeField()  #: asked for ever since without a long pause
    share = models.FloatField(default=1.0)  #: of the limit, as of `slowed_at`; below 1 after the service said quota
    slowed_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.key


class OutcomeCount(models.Model):
    """How many devices ended how since Clarion was set up: the counters of /metrics, see `messaging.metrics`."""

    push_service = models.CharField(max_length=8, choices=PushService)
    outcome = models.CharField(max_length=12, choices=DeliveryOutcome)
    reason = models.CharField(max_length=64, blank=True)
    devices = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["push_service", "outcome", "reason"], name="outcome_count_unique")
        ]

    def __str__(self) -> str:
        return f"{self.push_service} {self.outcome} {self.reason}".strip()


class WorkerGroup(models.Model):
    """A running ticker or cluster of workers: proof of life for the console and /health."""

    name = models.CharField(max_length=64, unique=True)  #: host:pid:kind
    kind = models.CharField(max_length=8)  #: "workers" or "ticker"
    host = models.CharField(max_length=255)
    workers = models.SmallIntegerField(default=0)
    is_stopping = models.BooleanField(default=False)
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    seen_since = models.DateTimeField(db_default=Now())  #: without a gap until `seen_at`

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class LatencyCount(models.Model):
    """Firings that took so long since Clarion was set up: the histograms of /metrics, see `messaging.latencies`."""

    latency = models.CharField(max_length=12)  #: name of a `latencies.Latency`
    bucket = models.SmallIntegerField()  #: how many of its bounds it reached
    firings = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["latency", "bucket"], name="latency_count_unique")]

    def __str__(self) -> str:
        return f"{self.latency} {self.bucket}"
