"""The audit table takes new rows and nothing else."""

from __future__ import annotations

from django.db import migrations

_REFUSE = """
CREATE FUNCTION console_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only';
END $$;
CREATE TRIGGER console_audit_append_only BEFORE UPDATE OR DELETE ON console_auditentry
    FOR EACH ROW EXECUTE FUNCTION console_audit_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("console", "0001_initial")]

    operations = [
        migrations.RunSQL(
            _REFUSE,
            "DROP TRIGGER console_audit_append_only ON console_auditentry; DROP FUNCTION console_audit_append_only()",
        )
    ]
