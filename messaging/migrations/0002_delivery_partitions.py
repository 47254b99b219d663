"""The partitioned `messaging_delivery`, a view of it for the admin, and the index django-q2's queue lacks."""

from __future__ import annotations

from django.db import migrations, models

_DELIVERY = """
CREATE TABLE messaging_delivery (
    fired_on date NOT NULL,
    occurrence_id bigint NOT NULL,
    registration_id bigint NOT NULL,
    push_service text NOT NULL,
    outcome text NOT NULL,
    reason text NOT NULL,
    http_status smallint NOT NULL,
    provider_id text NOT NULL,
    detail text NOT NULL,
    tries smallint NOT NULL,
    finished_at timestamptz NOT NULL,
    PRIMARY KEY (fired_on, occurrence_id, registration_id)
) PARTITION BY RANGE (fired_on)
"""


_RECORD = """
CREATE VIEW messaging_delivery_record AS
SELECT occurrence_id || '-' || registration_id AS id, occurrence_id, registration_id, fired_on, push_service,
       outcome, reason, http_status, provider_id, detail, tries, finished_at
FROM messaging_delivery
"""


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0001_initial"),
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
    ]

    operations = [
        migrations.RunSQL(_DELIVERY, "DROP TABLE messaging_delivery"),
        migrations.RunSQL(_RECORD, "DROP VIEW messaging_delivery_record"),
        migrations.CreateModel(
            name="DeliveryRecord",
            fields=[
                ("id", models.TextField(primary_key=True, serialize=False)),
                ("occurrence_id", models.BigIntegerField()),
                ("registration_id", models.BigIntegerField()),
                ("fired_on", models.DateField()),
                ("push_service", models.TextField()),
                ("outcome", models.TextField()),
                ("reason", models.TextField()),
                ("http_status", models.SmallIntegerField()),
                ("provider_id", models.TextField()),
                ("detail", models.TextField()),
                ("tries", models.SmallIntegerField()),
                ("finished_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "delivery",
                "verbose_name_plural": "deliveries",
                "db_table": "messaging_delivery_record",
                "managed": False,
            },
        ),
        migrations.RunSQL(
            "CREATE INDEX messaging_job_queue ON django_q_ormq (key, lock)", "DROP INDEX messaging_job_queue"
        ),
    ]
