"""Push templates, what they refer to, and what a message keeps of one."""

from __future__ import annotations

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("devices", "0002_register_device"),
        ("messaging", "0003_control"),
    ]

    operations = [
        migrations.AddField(
            model_name="message",
            name="segment_query",
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name="message",
            name="template",
            field=models.JSONField(null=True),
        ),
        migrations.CreateModel(
            name="AndroidChannelTemplate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=128)),
                ("options", models.JSONField(blank=True, default=dict)),
                (
                    "application",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="android_channel_templates",
                        to="devices.application",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(fields=("application", "name"), name="android_channel_template_unique_name")
                ],
            },
        ),
        migrations.CreateModel(
            name="ButtonTemplate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("platform", models.CharField(choices=[("ANDROID", "Android"), ("IOS", "iOS")], max_length=8)),
                ("name", models.CharField(max_length=128)),
                ("buttons", models.JSONField(default=list)),
                (
                    "application",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="button_templates",
                        to="devices.application",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("application", "platform", "name"), name="button_template_unique_name"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="PushTemplate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=128)),
                ("message", models.TextField(blank=True)),
                (
                    "platforms",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("ANDROID", "Android"),
                                ("IOS", "iOS"),
                                ("WP", "Windows"),
                                ("WEB", "Web"),
                                ("OSX", "macOS"),
                            ],
                            max_length=8,
                        ),
                        blank=True,
                        default=list,
                        size=None,
                    ),
                ),
                ("channel_name", models.CharField(default="default", max_length=128)),
                ("segment_query", models.TextField(blank=True)),
                ("android", models.JSONField(blank=True, default=dict)),
                ("ios", models.JSONField(blank=True, default=dict)),
                ("osx", models.JSONField(blank=True, default=dict)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "application",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="push_templates",
                        to="devices.application",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(fields=("application", "name"), name="push_template_unique_name")
                ],
            },
        ),
    ]
