"""How long a group has been seen without a gap: silence while nobody could reach the database is no sign of death."""

from __future__ import annotations

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("messaging", "0010_message_is_policy_named")]

    operations = [
        migrations.AddField("workergroup", "seen_since", models.DateTimeField(db_default=Now())),
    ]
