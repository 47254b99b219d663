"""What a segment query can ask beyond the registration `r`: the channels it listens to, the user who was logged in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from devices.channels import DEFAULT_CHANNEL
from devices.conditions import Literal, Operator
from devices.segment_columns import Column, Pattern, SqlParts, as_text, like_pattern, no_order
from devices.segment_scope import Reading, Scope, looked_up

#: how the SQL begins whose result is hashed; it needs a range of ids that bounds how much that is
HASHED = "IN (SELECT DISTINCT sq.registration_id"


@dataclass(frozen=True, slots=True)
class ChannelColumn:
    """Channels the device listens to: a condition holds when one of them meets it."""

    scope: Scope

    def equal_any(self, options: Sequence[Literal], *, negated: bool) -> SqlParts:
        """Listens to one of them; negated: to none of them."""
        names = [DEFAULT_CHANNEL if text.lower() == DEFAULT_CHANNEL else text for text in map(as_text, options)]
        return self._one_of(self.scope.lookups.channel_ids(names), negated)

    def ordered(self, operator: Operator, value: Literal) -> SqlParts:
        """Channels have no order."""
        raise no_order(value, "channelName")

    def like(self, pattern: Pattern, *, negated: bool) -> SqlParts:
        """Listens to one whose name is like the pattern; negated: to none."""
        ids = self.scope.lookups.channels_like(like_pattern(pattern))
        if ids is not None:
            return self._one_of(ids, negated)
        named = "SELECT c.id FROM devices_channel c WHERE c.application_id = %s AND c.name LIKE %s"
        return self._listens(f"sq.channel_id IN ({named})", [self.scope.application_pk, like_pattern(pattern)], negated)

    def is_null(self, *, negated: bool) -> SqlParts:
        """Listens to no channel; negated: to any."""
        if self.scope.heard is not None:
            return _constant(negated)
        return self._listens("true", [], not negated)

    def _one_of(self, ids: list[int], negated: bool) -> SqlParts:
        if not ids or self.scope.heard in ids:
            return _constant(bool(ids) is not negated)
        devices = self.scope.lookups.listeners(ids) if self.scope.is_within_or else None
        if devices is not None:
            return f"r.id {'<> ALL' if negated else '= ANY'}(%s::bigint[])", [devices]
        return self._listens("sq.channel_id = ANY(%s::bigint[])", [ids], negated)

    def _listens(self, to: str, params: list[Any], negated: bool) -> SqlParts:
        listened, most = f"FROM devices_subscription sq WHERE {to}", ""
        if self.scope.ids is not None:
            above, through = self.scope.ids
            listened += " AND sq.registration_id > %s AND sq.registration_id <= %s"
            params, most = [*params, above, through], f" LIMIT {through - above}"
        is_scan = self.scope.reading is Reading.SCAN
        if is_scan or (self.scope.is_within_or and self.scope.reading is not Reading.SAMPLE):
            # EXISTS would be priced as so many single look-ups; IS TRUE keeps it from becoming a join. The limit, which
            # nothing reaches, is for the planner: ids that might not fit into work_mem would be read for every device
            listens = f"(r.id {HASHED} {listened}{most})) IS TRUE"
        else:
            listens = self.scope.exists(f"{listened} AND sq.registration_id = r.id")
        return ("NOT " if negated else "") + listens, params


def _constant(truth: bool) -> SqlParts:
    return ("true" if truth else "false"), []


@dataclass(frozen=True, slots=True)
class UserColumn:
    """A column of the user who was logged in when the device registered; `u` is that user."""

    column: Column
    scope: Scope

    def equal_any(self, options: Sequence[Literal], *, negated: bool) -> SqlParts:
        """As the user's column has it."""
        condition = self.column.equal_any(options, negated=negated)
        if self.scope.is_within_or and not negated:
            users = self.scope.lookups.users(*condition)
            if users is not None:
                return "r.user_id <> '' AND r.user_id = ANY(%s::text[])", [users]
        return self._of_user(condition)

    def ordered(self, operator: Operator, value: Literal) -> SqlParts:
        """As the user's column has it."""
        return self._of_user(self.column.ordered(operator, value))

    def like(self, pattern: Pattern, *, negated: bool) -> SqlParts:
        """As the user's column has it."""
        return self._of_user(self.column.like(pattern, negated=negated))

    def is_null(self, *, negated: bool) -> SqlParts:
        """Nobody was logged in, or somebody without a value."""
        condition = self.column.is_null(negated=True)
        if negated:
            return self._of_user(condition)
        if self.scope.reading is Reading.ALL and not self.scope.is_within_or:
            return f"NOT {self.scope.exists(_users(condition))}", condition[1]
        # nobody has the id '', so the first comparison only spares looking
        return f"r.user_id = '' OR ({self._alone(condition)}) IS NOT TRUE", condition[1]

    def _of_user(self, condition: SqlParts) -> SqlParts:
        """The first comparison is what the index on users of devices asks for."""
        is_join = not self.scope.is_within_or and self.scope.reading in (Reading.ALL, Reading.SEARCH)
        asked = self.scope.exists(_users(condition)) if is_join else self._alone(condition)
        return f"r.user_id <> '' AND ({asked})", condition[1]

    def _alone(self, condition: SqlParts) -> str:
        """Not as a join of its own: an OR allows none, and for a page the planner would read all users."""
        return condition[0] if self.scope.reading is Reading.ALL else looked_up(_user(condition))


#: joined to `r` where all registrations are read; the planner leaves it out where nothing asks for it
JOINED_USERS = (
    " LEFT JOIN devices_appuser u ON u.application_id = r.application_id AND u.object_id = r.user_id "
    "AND NOT u.is_disabled"
)
_VALID = "u.application_id = r.application_id AND NOT u.is_disabled"


def _users(condition: SqlParts) -> str:
    return f"FROM devices_appuser u WHERE u.object_id = r.user_id AND {_VALID} AND ({condition[0]})"  # noqa: S608


def _user(condition: SqlParts) -> str:
    """OFFSET 0: by the id alone. Without statistics the planner took the index on properties, for every device."""
    by_id = "SELECT * FROM devices_appuser WHERE object_id = r.user_id OFFSET 0"
    return f"FROM ({by_id}) u WHERE {_VALID} AND ({condition[0]})"  # noqa: S608
