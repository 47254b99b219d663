"""What personalised texts may say of a device: its attributes, by name; reads only."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.db import connection


def values_of(registration_ids: Collection[int], names: Iterable[str]) -> dict[int, dict[str, str]]:
    """For each registration the named values it has, as text; one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id, r.attributes FROM devices_deviceregistration r WHERE r.id = ANY(%s)",
            [list(registration_ids)],
        )
        rows = cursor.fetchall()
    wanted = sorted(names)
    return {pk: _named(_object(attributes), wanted) for pk, attributes in rows}


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
