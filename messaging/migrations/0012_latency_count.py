"""Histograms that only grow: what fell into each bucket since Clarion was set up."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("messaging", "0011_workergroup_seen_since")]

    operations = [
        migrations.CreateModel(
            name="LatencyCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("latency", models.CharField(max_length=12)),
                ("bucket", models.SmallIntegerField()),
                ("firings", models.BigIntegerField(default=0)),
                ("seconds", models.FloatField(default=0)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("latency", "bucket"), name="latency_count_unique")],
            },
        ),
    ]
