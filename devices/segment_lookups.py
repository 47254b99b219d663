"""What the SQL of a segment need not find out: ids of channels, and those of devices and users where they are few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

#: ids that are named one by one in SQL; finding out that there are more takes 0.2 ms, of users 0.7
FEW = 1_000


@dataclass(frozen=True, slots=True)
class KeptLookups:
    """Implements `devices.segment_scope.Lookups`; asks everything once, so it is to live no longer than a page."""

    application_pk: int
    few: int = FEW
    _known: dict[str, list[Any]] = field(default_factory=dict)

    def channel_ids(self, names: Sequence[str]) -> list[int]:
        """Of the application's channels with these names."""
        sql = "SELECT id FROM devices_channel WHERE application_id = %s AND name = ANY(%s)"
        return self._asked(sql, [self.application_pk, list(names)])

    def channels_like(self, pattern: str) -> list[int] | None:
        """Ids of the application's channels with names like PostgreSQL's pattern; None: too many."""
        sql = "SELECT id FROM devices_channel WHERE application_id = %s AND name LIKE %s"
        return self._few(sql, [self.application_pk, pattern])

    def listeners(self, channel_ids: Sequence[int]) -> list[int] | None:
        """Ids of the registrations that listen to one of the channels; None: too many."""
        sql = "SELECT registration_id FROM devices_subscription WHERE channel_id = ANY(%s)"
        return self._few(sql, [list(channel_ids)])

    def users(self, condition: str, params: Sequence[Any]) -> list[str] | None:
        """Object ids of the users `u` of whom the condition holds; None: too many."""
        judged = f"u.application_id = %s AND NOT u.is_disabled AND ({condition})"
        sql = f"SELECT u.object_id FROM devices_appuser u WHERE {judged}"  # noqa: S608
        return self._few(sql, [self.application_pk, *params])

    def _few(self, sql: str, params: list[Any]) -> list[Any] | None:
        found = self._asked(f"{sql} LIMIT {self.few + 1}", params)
        return found if len(found) <= self.few else None

    def _asked(self, sql: str, params: list[Any]) -> list[Any]:
        key = repr((sql, params))
        if key not in self._known:
            with connection.cursor() as cursor:
                cursor.execute(sql, params)
                self._known[key] = [row[0] for row in cursor.fetchall()]
        return self._known[key]
