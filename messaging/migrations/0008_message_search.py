"""Words of messages, for the search of the console. No extension: `pg_trgm` may be missing on a managed server."""

from __future__ import annotations

from django.db import migrations

# Kept in step with `console.pages_messages`: another expression would not use the index. The first 8,000 characters,
# because a tsvector ends at 1 MB and must not refuse a message.
CREATE = """
CREATE INDEX message_words ON messaging_message
USING gin (to_tsvector('simple', channel_name || ' ' || left(body::text, 8000)))
"""


class Migration(migrations.Migration):
    dependencies = [("messaging", "0007_occurrence_fired")]

    operations = [migrations.RunSQL(CREATE, "DROP INDEX message_words")]
