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
from devices.conditions import InvalidCondition, Literal, Operator

SqlParts = tuple[str, list[Any]]
#: a LIKE pattern: characters, each with whether it stands for itself
Pattern = Sequence[tuple[str, bool]]

#: a value that counts as a number beside a number; bounded as the grammar bounds its own
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
_SQL_NUMBER = "'^-?[0-9]{1,40}([.][0-9]{1,40})?$'"


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


def as_text(value: Literal) -> str:
    """As the text it is compared with."""
    if isinstance(value.value, bool):
        return "true" if value.value else "false"
    return str(value.value)


def _number(value: Literal) -> Decimal | None:
    """The number a value is or spells."""
    if isinstance(value.value, str) and _NUMBER.fullmatch(value.value):
        return Decimal(value.value)
    return value.value if isinstance(value.value, Decimal) else None


def like_pattern(pattern: Pattern) -> str:
    """For PostgreSQL's LIKE, whose escape is a backslash."""
    return "".join("\\" + char if literal and char in "%_\\" else char for char, literal in pattern)


def no_order(value: Literal, what: str) -> InvalidCondition:
    """The error that says so."""
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
        return self._there(f"{self.sql} {sign}(%s::text[])"), [[self.normal(as_text(option)) for option in options]]

    def ordered(self, operator: Operator, value: Literal) -> SqlParts:
        """A number is compared with the number the text begins with: version 14.2 lies above 9."""
        if isinstance(value.value, bool):
            raise no_order(value, "TRUE and FALSE")
        number = _number(value)
        if number is not None:
            leading = f"substring({self.sql} from '^-?[0-9]{{1,40}}(?:[.][0-9]{{1,40}})?')"
            # most are numbers as a whole, and asking that takes a quarter of cutting one out
            plain = f"length({self.sql}) <= 40 AND {self.sql} ~ '^[0-9]+([.][0-9]+)?$'"
            return f"CASE WHEN {plain} THEN {self.sql} ELSE {leading} END::numeric {operator.value} %s", [number]
        return self._there(f'{self.sql} COLLATE "C" {operator.value} %s'), [self.normal(as_text(value))]

    def like(self, pattern: Pattern, *, negated: bool) -> SqlParts:
        """As PostgreSQL does it."""
        return self._there(f"{self.sql} {'NOT LIKE' if negated else 'LIKE'} %s"), [like_pattern(pattern)]

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
        ids = [UUID(text) for text in map(as_text, options) if _is_uuid(text)]
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
        return f"{iso} {'NOT LIKE' if negated else 'LIKE'} %s", [like_pattern(pattern)]

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
            raise no_order(value, "TRUE and FALSE")
        number, compared = _number(value), f"{operator.value} %s"
        if number is None:
            return f'{self._text} COLLATE "C" {compared}', [*self.path, as_text(value)]
        spelled = f"CASE WHEN {self._text} ~ {_SQL_NUMBER} THEN {self._text}::numeric {compared} END"
        return (
            f"CASE jsonb_typeof({self._value}) WHEN 'number' THEN {self._value}::numeric {compared} "
            f"WHEN 'string' THEN {spelled} END",
            [*self.path, *self.path, number, *self.path, *self.path, number],
        )

    def like(self, pattern: Pattern, *, negated: bool) -> SqlParts:
        """By the value as text."""
        return f"{self._text} {'NOT LIKE' if negated else 'LIKE'} %s", [*self.path, like_pattern(pattern)]

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
    found = [json.dumps(as_text(value))]
    if number is not None:
        found.append(format(number, "f"))
    elif isinstance(value.value, bool):
        found.append(as_text(value))
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
