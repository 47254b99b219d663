from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("messaging", "0009_failures")]

    operations = [
        migrations.AddField(
            model_name="message",
            name="is_policy_named",
            field=models.BooleanField(default=False),
        ),
    ]
