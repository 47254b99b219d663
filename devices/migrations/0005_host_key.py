"""A key that stands for an application's host name."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("devices", "0004_users"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="is_for_host",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_for_host", True), ("revoked_at", None)),
                fields=("application",),
                name="api_key_one_for_host",
            ),
        ),
    ]
