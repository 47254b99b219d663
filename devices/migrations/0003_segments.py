"""Saved segments, and the index that narrow ones are found by."""

from __future__ import annotations

import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("devices", "0002_register_device"),
    ]

    operations = [
        migrations.CreateModel(
            name="Segment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=128)),
                ("query", models.TextField()),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.AddIndex(
            model_name="deviceregistration",
            index=django.contrib.postgres.indexes.GinIndex(
                condition=models.Q(("attributes", {}), _negated=True),
                fields=["attributes"],
                opclasses=["jsonb_path_ops"],
                name="registration_attributes",
            ),
        ),
        migrations.AddField(
            model_name="segment",
            name="application",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="segments", to="devices.application"
            ),
        ),
        migrations.AddConstraint(
            model_name="segment",
            constraint=models.UniqueConstraint(fields=("application", "name"), name="segment_unique_name"),
        ),
    ]
