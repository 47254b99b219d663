"""Fill the copies of 0007, index them, and drop the indexes they make needless.

Rows are filled 10,000 at a time, each time in a transaction of its own; indexes come and go CONCURRENTLY: nobody waits
for a lock. Safe to be interrupted and run again. 1,000,000 subscriptions take about a minute.
"""

from __future__ import annotations

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.db.models import Q

_ROWS_AT_ONCE = 10_000
#: as Django named it in 0001
_CHANNEL_INDEX = "devices_subscription_channel_id_e9eb9351"

# A row whose device changes meanwhile has its copies from the trigger, is therefore looked at again, and left alone
_FILL = """
UPDATE devices_subscription s
SET os = r.os, push_service = r.push_service, expiration = r.expiration, is_active = r.state = 'active'
FROM devices_deviceregistration r
WHERE r.id = s.registration_id AND s.os = '' AND s.id > %s AND s.id <= %s
"""
_INDEX = """
CREATE INDEX CONCURRENTLY subscription_reach ON devices_subscription (channel_id, os, push_service, expiration)
WHERE is_active
"""
# An index alone answers only where a vacuum has seen the rows; PostgreSQL waits for 20 % of the table to change
_VACUUM_SOONER = """
ALTER TABLE devices_subscription
SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05)
"""
_VACUUM_AS_OTHERS = """
ALTER TABLE devices_subscription
RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_insert_scale_factor)
"""


def fill(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Copy, page by page."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(min(id), 0), coalesce(max(id), -1) FROM devices_subscription WHERE os = ''")
        lowest, highest = cursor.fetchone()
        for above in range(lowest - 1, highest, _ROWS_AT_ONCE):
            cursor.execute(_FILL, [above, above + _ROWS_AT_ONCE])


class Migration(migrations.Migration):
    """Outside a transaction, as building an index CONCURRENTLY needs."""

    atomic = False
    dependencies = [("devices", "0007_subscription_reach")]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=False),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddIndex(
                    "subscription",
                    models.Index(
                        fields=["channel", "os", "push_service", "expiration"],
                        condition=Q(is_active=True),
                        name="subscription_reach",
                    ),
                ),
                migrations.RemoveIndex("deviceregistration", "registration_reach"),
                # the unique index of channel and registration serves whatever asks for a channel
                migrations.AlterField(
                    "subscription",
                    "channel",
                    models.ForeignKey(on_delete=models.deletion.CASCADE, to="devices.channel", db_index=False),
                ),
            ],
            database_operations=[
                migrations.RunSQL(
                    # one that was interrupted leaves an invalid index of the name
                    ["DROP INDEX CONCURRENTLY IF EXISTS subscription_reach", _INDEX],
                    ["DROP INDEX CONCURRENTLY IF EXISTS subscription_reach"],
                ),
                migrations.RunSQL(_VACUUM_SOONER, _VACUUM_AS_OTHERS),
                migrations.RunSQL(["VACUUM ANALYZE devices_subscription"], migrations.RunSQL.noop),
                migrations.RunSQL(
                    ["DROP INDEX CONCURRENTLY IF EXISTS registration_reach"],
                    [
                        "CREATE INDEX CONCURRENTLY registration_reach ON devices_deviceregistration "
                        "(application_id, id) INCLUDE (os, push_service, expiration) WHERE state = 'active'"
                    ],
                ),
                migrations.RunSQL(
                    [f"DROP INDEX CONCURRENTLY IF EXISTS {_CHANNEL_INDEX}"],
                    [f"CREATE INDEX CONCURRENTLY {_CHANNEL_INDEX} ON devices_subscription (channel_id)"],
                ),
            ],
        ),
    ]
