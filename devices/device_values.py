"""What personalised texts may say of a device: its attributes, and its user as `Users.<property>`; reads only."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.db import connection

#: the table of the hosted original that smart text reads (contract.md 5)
USERS = "Users"


def values_of(registration_ids: Collection[int], names: Iterable[str]) -> dict[int, dict[str, str]]:
    """For each registration the named values it has, as text; one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id, r.attributes, u.object_id, u.email, u.name, u.login, u.properties "
            "FROM devices_deviceregistration r LEFT JOIN devices_appuser u "
            "ON u.object_id = r.user_id AND u.application_id = r.application_id AND NOT u.is_disabled "
            "WHERE r.id = ANY(%s)",
            [list(registration_ids)],
        )
        rows = cursor.fetchall()
    wanted = sorted(names)
    return {pk: _named({**_object(attributes), **_user(*user)}, wanted) for pk, attributes, *user in rows}


def _user(object_id: str | None, email: str, name: str, login: str, properties: object) -> dict[str, Any]:
    """The user of a device as `Users.<property>` finds it; nothing where nobody was logged in."""
    if object_id is None:
        return {}
    return {USERS: {**_object(properties), "objectId": object_id, "email": email, "name": name, "login": login}}


def _object(column: object) -> dict[str, Any]:
    """A jsonb column as Django's cursor gives it: text."""
    loaded = json.loads(column) if isinstance(column, str) else column
    return loaded if isinstance(loaded, dict) else {}


def _named(attributes: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    found = {name: _text(_at(attributes, name)) for name in names}
    return {name: text for name, text in found.items() if text}


def _at(values: Mapping[str, Any], name: str) -> object:
    """`a.b` is the key with that name, else `b` within `a`."""
    if name in values:
        return values[name]
    first, _, rest = name.partition(".")
    within = values.get(first)
    return _at(within, rest) if rest and isinstance(within, dict) else None


def _text(value: object) -> str:
    """Texts, numbers, true and false as people read them; anything else counts as missing."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""
