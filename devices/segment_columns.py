"""What a segment query can ask about a registration, each kind of column as SQL; `r` is the registration.

Every method gives a condition that is never true where the value is missing, whatever is asked of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from devices import timestamps
from devices.channels import DEFAULT_CHANNEL
from devices.conditions import InvalidCondition, Literal, Name, Operator
from devices.segment_scope import Reading, Scope, looked_up

SqlParts = tuple[str, list[Any]]
#: a LIKE pattern: characters, each with whether it stands for itself
Pattern = Sequence[tuple[str, bool]]

#: a value that counts as a number beside a number; bounded as the grammar bounds its own
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
_SQL_NUMBER = "'^-?[0-9]{1,40}([.][0-9]{1,40})?$'"
_MAX_PATH = 8

#: how the SQL begins whose result is hashed; it needs a range of ids that bounds how much that is
HASHED = "IN (SELECT DISTINCT sq.registration_id"


class Column(Protocol):
    """Something that can be compared with values."""

    def equal_any(self, options: Sequence[Literal], *, negated: bool) -> SqlParts:
        """Equal to one of them; negated: there, and equal to none."""

    def ordered(self, operator: Operator, value: Literal) -> SqlParts:
        """`<`, `<=`, `>` or `>=` the value."""

    def like(self, pattern: Pattern, *, negated: bool) -> SqlParts:
        """Like the pattern; negated: there, and unlike it."""

    def is_null(self, *, negated: bool) -> SqlParts:
        """Missing; negated: there."""


def _text(value: Literal) -> str:
    if isinstance(value.value, bool):
        return "true" if value.value else "false"
    return str(value.value)


def _number(value: Literal) -> Decimal | None:
    """The number a value is or spells."""
    if isinstance(value.value, str) and _NUMBER.fullmatch(value.value):
        return Decimal(value.value)
    return value.value if isinstance(value.value, Decimal) else None


def _like(pattern: Pattern) -> str:
    """For PostgreSQL's LIKE, whose escape is a backslash."""
    return "".join("\\" + char if literal and char in "%_\\" else char for char, literal in pattern)


def _no_order(value: Literal, what: str) -> InvalidCondition:
    return InvalidCondition(value.position, f"{what} can be compared by = and <> only")


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A text; ordered as numbers where the value compared with is one."""

    sql: str
    normal: Callable[[str], str] = str  #: how values are written in this column
    is_blank_missing: bool = False  #: it holds '' for nothing

    def equal_any(self, options: Sequence[Literal], *, negated: bool) -> SqlParts:
        """By equality of texts."""
        sign = "<> ALL" if negated else "= ANY"
        return self._there(f"{self.sql} {sign}(%s::text[])"), [[self.normal(_text(option)) for option in options]]

    def ordered(self, operator: Operator, value: Literal) -> SqlParts:
        """A number is compared with the number the text begins with: version 14.2 lies above 9."""
        if isinstance(value.value, bool):
            raise _no_order(value, "TRUE and FALSE")
        number = _number(value)
        if number is not None:
            leading = f"substring({self.sql} from '^-?[0-9]{{1,40}}(?:[.][0-9]{{1,40}})?')"
            # most are numbers as a whole, and asking that takes a quarter of cutting one out
            plain = f"length({self.sql}) <= 40 AND {self.sql} ~ '^[0-9]+([.][0-9]+)?$'"
            return f"CASE WHEN {plain} THEN {self.sql} ELSE {leading} END::numeric {operator.value} %s", [number]
        return self._there(f'{self.sql} COLLATE "C" {operator.value} %s'), [self.normal(_text(value))]

    def like(self, pattern: Pattern, *, negated: bool) -> SqlParts:
        """As PostgreSQL does it."""
        return self._there(f"{self.sql} {'NOT LIKE' if negated else 'LIKE'} %s"), [_like(pattern)]

    def is_null(self, *, negated: bool) -> SqlParts:
        """Every row has a value where '' is one."""
        if self.is_blank_missing:
            return f"{self.sql} {'<>' if negated else '='} ''", []
        return f"{self.sql} IS {'NOT ' if negated else ''}NULL", []

    def _there(self, condition: str) -> str:
        """Beside the condition, since NULLIF around the column would hide it from its index."""
        return f"{self.sql} <> '' AND {condition}" if self.is_blank_missing else condition


@dataclass(frozen=True, slots=True)
class IdColumn(TextColumn):
    """The registration's own id: equality by its index."""

    def equal_any(self, options: Sequence[Literal], *, negated: bool) -> SqlParts:
        """What is no UUID equals none."""
        ids = [UUID(text) for text in map(_text, options) if _is_uuid(text)]
        return f"r.registration_id {'<> ALL' if negated else '= ANY'}(%s::uuid[])", [ids]


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """A moment; values are milliseconds or ISO 8601."""

    sql: str

    def equal_any(self, options: Sequence[Literal], *, negated: bool) -> SqlParts:
        """To the microsecond."""
        sign = "<> ALL" if negated else "= ANY"
        return f"{self.sql} {sign}(%s::timestamptz[])", [[_moment(option) for option in options]]

    def ordered(self, operator: Operator, value: Literal) -> SqlParts:
        """Earlier and later."""
        return f"{self.sql} {operator.value} %s", [_moment(value)]

    def like(self, pattern: Pattern, *, negated: bool) -> SqlParts:
        """As ISO 8601 in UTC."""
        iso = f"""to_char({self.sql} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""
        return f"{iso} {'NOT LIKE' if negated else 'LIKE'} %s", [_like(pattern)]

    def is_null(self, *, negated: bool) -> SqlParts:
        """Only `expiration` can be."""
        return f"{self.sql} IS {'NOT ' if negated else ''}NULL", []


def _moment(value: Literal) -> datetime:
    raw = value.value
    try:
        return timestamps.from_wire(float(raw) if isinstance(raw, Decimal) else raw)
    except ValueError as error:
        raise InvalidCondition(value.position, str(error)) from error


@dataclass(frozen=True, slots=True)
class ChannelColumn:
    """Channels the device listens to: a condition holds when one of them meets it."""

    scope: Scope

    def equal_any(self, options: Sequence[Literal], *, negated: bool) -> SqlParts:
        """Listens to one of them; negated: to none of them."""
        names = [DEFAULT_CHANNEL if text.lower() == DEFAULT_CHANNEL else text for text in map(_text, options)]
        return self._one_of(self.scope.lookups.channel_ids(names), negated)

    def ordered(self, operator: Operator, value: Literal) -> SqlParts:
        """Channels have no order."""
        raise _no_order(value, "channelName")

    def like(self, pattern: Pattern, *, negated: bool) -> SqlParts:
        """Listens to one whose name is like the pattern; negated: to none."""
        ids = self.scope.lookups.channels_like(_like(pattern))
        if ids is not None:
            return self._one_of(ids, negated)
        named = "SELECT c.id FROM devices_channel c WHERE c.application_id = %s AND c.name LIKE %s"
        return self._listens(f"sq.channel_id IN ({named})", [self.scope.application_pk, _like(pattern)], negated)

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
        if self.scope.is_within_or and self.scope.reading is not Reading.SAMPLE:
            # EXISTS would be priced as so many single look-ups. The limit, which nothing reaches, is for the planner:
            # IDs that might not fit into work_mem would not be hashed, but read through for every device
            listens = f"r.id {HASHED} {listened}{most})"
        else:
            listens = self.scope.exists(f"{listened} AND sq.registration_id = r.id")
        return ("NOT " if negated else "") + listens, params


def _constant(truth: bool) -> SqlParts:
    return ("true" if truth else "false"), []


@dataclass(frozen=True, slots=True)
class AttributeColumn:
    """A value in the attributes of a registration or user: text, number, boolean. A text of digits is a number too."""

    path: tuple[str, ...]
    sql: str = "r.attributes"

    @property
    def _value(self) -> str:
        """The JSON value. Arrows instead of `#>`: a third of the time."""
        return f"({self.sql}{' -> %s::text' * len(self.path)})"

    @property
    def _text(self) -> str:
        """The value as text; NULL for JSON's null."""
        return f"({self.sql}{' -> %s::text' * (len(self.path) - 1)} ->> %s::text)"

    def equal_any(self, options: Sequence[Literal], *, negated: bool) -> SqlParts:
        """By containment, which the index on attributes serves; its own condition stands first."""
        holding = [self._holding(spelling) for option in options for spelling in _spellings(option)]
        either = " OR ".join([f"{self.sql} @> %s::jsonb"] * len(holding))
        if negated:
            return f"{self._text} IS NOT NULL AND NOT ({either})", [*self.path, *holding]
        return f"{self.sql} <> '{{}}'::jsonb AND ({either})", [*holding]

    def ordered(self, operator: Operator, value: Literal) -> SqlParts:
        """Numbers with numbers, texts with texts. CASE, because AND promises no order and a cast must not fail.

        Asking for the type first spares numbers the regular expression: 1.1 s against 5.3 s for a million.
        """
        if isinstance(value.value, bool):
            raise _no_order(value, "TRUE and FALSE")
        number, compared = _number(value), f"{operator.value} %s"
        if number is None:
            return f'{self._text} COLLATE "C" {compared}', [*self.path, _text(value)]
        spelled = f"CASE WHEN {self._text} ~ {_SQL_NUMBER} THEN {self._text}::numeric {compared} END"
        return (
            f"CASE jsonb_typeof({self._value}) WHEN 'number' THEN {self._value}::numeric {compared} "
            f"WHEN 'string' THEN {spelled} END",
            [*self.path, *self.path, number, *self.path, *self.path, number],
        )

    def like(self, pattern: Pattern, *, negated: bool) -> SqlParts:
        """By the value as text."""
        return f"{self._text} {'NOT LIKE' if negated else 'LIKE'} %s", [*self.path, _like(pattern)]

    def is_null(self, *, negated: bool) -> SqlParts:
        """JSON's null counts as missing."""
        return f"{self._text} IS {'NOT ' if negated else ''}NULL", [*self.path]

    def _holding(self, spelling: str) -> str:
        """The smallest JSON object that has this value at the path."""
        for key in reversed(self.path):
            spelling = f"{{{json.dumps(key)}: {spelling}}}"
        return spelling


def _spellings(value: Literal) -> list[str]:
    """The JSON values that are equal to it."""
    number = _number(value)
    found = [json.dumps(_text(value))]
    if number is not None:
        found.append(format(number, "f"))
    elif isinstance(value.value, bool):
        found.append(_text(value))
    return found


@dataclass(frozen=True, slots=True)
class LoginColumn(TextColumn):
    """The login of a user: equality by the index that keeps logins apart, which knows no letter case."""

    def equal_any(self, options: Sequence[Literal], *, negated: bool) -> SqlParts:
        """By equality of texts."""
        text, params = TextColumn.equal_any(self, options, negated=negated)
        if negated:
            return text, params
        lower = f"lower({self.sql}) = ANY(ARRAY(SELECT lower(login) FROM unnest(%s::text[]) AS login))"  # noqa: S608
        return f"{text} AND {lower}", [*params, *params]


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
        asked = self._alone(condition) if self.scope.is_within_or else self.scope.exists(_users(condition))
        return f"r.user_id <> '' AND ({asked})", condition[1]

    def _alone(self, condition: SqlParts) -> str:
        """Not as a join of its own: an OR allows none, and for a page the planner would read all users."""
        return condition[0] if self.scope.reading is Reading.ALL else looked_up(_users(condition))


_OF_DEVICE = "u.application_id = r.application_id AND u.object_id = r.user_id AND NOT u.is_disabled"
#: joined to `r` where all registrations are read; the planner leaves it out where nothing asks for it
JOINED_USERS = f" LEFT JOIN devices_appuser u ON {_OF_DEVICE}"


def _users(condition: SqlParts) -> str:
    return f"FROM devices_appuser u WHERE {_OF_DEVICE} AND ({condition[0]})"


_USERS_COLUMNS: dict[str, Column] = {
    "objectId": TextColumn("u.object_id"),
    "login": LoginColumn("u.login"),
    "email": TextColumn("u.email", is_blank_missing=True),
    "name": TextColumn("u.name", is_blank_missing=True),
    "created": TimeColumn("u.created_at"),
    "updated": TimeColumn("u.updated_at"),
    "lastLogin": TimeColumn("u.last_login_at"),
}
#: the relation of the hosted original's table, and the table's name as smart text has it (contract.md 5, 6)
_OF_USER = ("user.", "Users.")

_CHANNEL = "channelName"
_COLUMNS: dict[str, Column] = {
    "objectId": IdColumn("upper(r.registration_id::text)", str.upper),
    "deviceId": TextColumn("r.device_id"),
    "deviceToken": TextColumn("r.token"),
    "operatingSystemName": TextColumn("r.os", str.upper),
    "operatingSystemVersion": TextColumn("r.os_version", is_blank_missing=True),
    "expiration": TimeColumn("r.expiration"),
    "userId": TextColumn("r.user_id", is_blank_missing=True),
    "locale": TextColumn("r.locale", is_blank_missing=True),
    "timeZone": TextColumn("r.time_zone", is_blank_missing=True),
    "created": TimeColumn("r.created_at"),
    "updated": TimeColumn("r.last_seen_at"),
}


def column_named(name: Name, scope: Scope) -> Column:
    """The column, or the attribute, of that name. Raises InvalidCondition."""
    for prefix in _OF_USER:
        if name.text.startswith(prefix):
            own = name.text.removeprefix(prefix)
            return UserColumn(_USERS_COLUMNS.get(own) or AttributeColumn(_path(name, own), "u.properties"), scope)
    if name.text == _CHANNEL:
        return ChannelColumn(scope)
    return _COLUMNS.get(name.text) or AttributeColumn(_path(name, name.text))


def _path(name: Name, text: str) -> tuple[str, ...]:
    path = tuple(text.split("."))
    if len(path) > _MAX_PATH:
        raise InvalidCondition(name.position, f"an attribute lies at most {_MAX_PATH} levels deep")
    return path
