"""The partitioned `messaging_delivery`, and the index django-q2's queue lacks."""

from __future__ import annotations

from django.db import migrations

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


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0001_initial"),
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
    ]

    operations = [
        migrations.RunSQL(_DELIVERY, "DROP TABLE messaging_delivery"),
        migrations.RunSQL(
            "CREATE INDEX messaging_job_queue ON django_q_ormq (key, lock)", "DROP INDEX messaging_job_queue"
        ),
    ]
