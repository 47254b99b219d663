"""A registration asks once what its device listens to, and goes on only where that differs from what it names.

Two statements instead of three for a device that is known, and no check for a conflict for one that is new. No lock,
no row is written.
"""

from __future__ import annotations

from importlib import import_module

from django.db import migrations

CREATE = """
CREATE OR REPLACE FUNCTION devices_register(
    application bigint, new_device_id text, new_token text, new_digest bytea, new_os text, new_os_version text,
    new_push_service text, new_expiration timestamptz, channel_ids bigint[], may_change_token boolean
) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    device bigint;
    wire_id uuid;
    is_new boolean;
    known bigint[] := '{}';
BEGIN
    INSERT INTO devices_deviceregistration AS r (
        registration_id, application_id, device_id, token, token_digest, os, os_version, push_service, expiration,
        user_id, locale, time_zone, attributes, state, gone_reason
    ) VALUES (
        gen_random_uuid(), application, new_device_id, new_token, new_digest, new_os, new_os_version,
        new_push_service, new_expiration, '', '', '', '{}', 'active', ''
    )
    ON CONFLICT ON CONSTRAINT registration_unique_device DO UPDATE SET
        token = excluded.token, token_digest = excluded.token_digest, os = excluded.os,
        os_version = excluded.os_version, push_service = excluded.push_service, expiration = excluded.expiration,
        token_set_at = CASE WHEN r.token_digest = excluded.token_digest THEN r.token_set_at ELSE now() END,
        state = 'active', gone_reason = '', gone_at = NULL, last_seen_at = now()
    WHERE may_change_token OR (r.token_digest = excluded.token_digest AND r.state = 'active')
    -- an inserted row was never locked or updated by anybody
    RETURNING r.id, r.registration_id, r.xmax = 0 INTO device, wire_id, is_new;
    IF device IS NULL THEN
        RETURN NULL;
    END IF;

    -- Statements of their own: they see what a parallel call subscribed while the upsert waited for that call. Whoever
    -- subscribes this device later waits for us in turn, so what is missing now can be inserted without ON CONFLICT.
    IF NOT is_new THEN
        known := ARRAY(SELECT s.channel_id FROM devices_subscription s WHERE s.registration_id = device);
        IF known @> channel_ids AND known <@ channel_ids THEN
            RETURN wire_id;
        END IF;
        DELETE FROM devices_subscription s WHERE s.registration_id = device AND s.channel_id <> ALL(channel_ids);
    END IF;
    INSERT INTO devices_subscription (channel_id, registration_id, os, push_service, expiration, is_active)
    SELECT wanted.id, device, new_os, new_push_service, new_expiration, true FROM unnest(channel_ids) AS wanted(id)
    WHERE wanted.id <> ALL(known);

    RETURN wire_id;
END
$$
"""
#: the function as it was; a module whose name begins with a digit cannot be imported by a statement
BEFORE: str = import_module("devices.migrations.0009_register_cheaper").CREATE


class Migration(migrations.Migration):
    """Replaces the function of 0009; processes that run meanwhile need not notice."""

    dependencies = [("devices", "0010_user_lookups")]

    operations = [migrations.RunSQL(CREATE, BEFORE)]
