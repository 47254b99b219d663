"""Find what went out in the last minute."""

from __future__ import annotations

import django.db.models.functions.comparison
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0006_api_memory"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="occurrence",
            index=models.Index(
                django.db.models.functions.comparison.Coalesce("claimed_at", "closed_at"), name="occurrence_fired"
            ),
        ),
    ]
