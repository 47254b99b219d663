"""Find the devices of a user id; most registrations have none and do not touch the index."""

from __future__ import annotations

from django.db import migrations

CREATE = "CREATE INDEX registration_user ON devices_deviceregistration (application_id, user_id) WHERE user_id <> ''"


class Migration(migrations.Migration):
    dependencies = [("devices", "0005_host_key")]

    operations = [migrations.RunSQL(CREATE, "DROP INDEX registration_user")]
