"""Indexes by which segments find a few users of many: by e-mail address, and by what the app keeps of them.

Built CONCURRENTLY: nobody waits for a lock. Safe to be interrupted and run again. A few seconds for 1,000,000 users.
"""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.db import migrations, models
from django.db.models import Q

_EMAIL = "CREATE INDEX CONCURRENTLY app_user_email ON devices_appuser (application_id, email) WHERE email <> ''"
_PROPERTIES = """
CREATE INDEX CONCURRENTLY app_user_properties ON devices_appuser USING gin (properties jsonb_path_ops)
WHERE NOT (properties = '{}'::jsonb)
"""
_DROP_EMAIL = "DROP INDEX CONCURRENTLY IF EXISTS app_user_email"
_DROP_PROPERTIES = "DROP INDEX CONCURRENTLY IF EXISTS app_user_properties"


class Migration(migrations.Migration):
    """Outside a transaction, as building an index CONCURRENTLY needs; one that was interrupted left an invalid index."""

    atomic = False
    dependencies = [("devices", "0009_register_cheaper")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddIndex(
                    "appuser",
                    models.Index(fields=["application", "email"], condition=~Q(email=""), name="app_user_email"),
                ),
                migrations.AddIndex(
                    "appuser",
                    GinIndex(
                        fields=["properties"],
                        opclasses=["jsonb_path_ops"],
                        condition=~Q(properties={}),
                        name="app_user_properties",
                    ),
                ),
            ],
            database_operations=[
                migrations.RunSQL([_DROP_EMAIL, _EMAIL], [_DROP_EMAIL]),
                migrations.RunSQL([_DROP_PROPERTIES, _PROPERTIES], [_DROP_PROPERTIES]),
            ],
        )
    ]
