"""Find what was not accepted among a million outcomes: grouped by reason, and device by device."""

from __future__ import annotations

from django.db import migrations

# Accepted outcomes, nearly all of them, do not touch it
CREATE = """
CREATE INDEX delivery_failures ON messaging_delivery (occurrence_id, outcome, reason, registration_id)
WHERE outcome <> 'accepted'
"""


class Migration(migrations.Migration):
    dependencies = [("messaging", "0008_message_search")]

    operations = [migrations.RunSQL(CREATE, "DROP INDEX delivery_failures")]
