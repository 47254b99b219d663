"""A segment query (where clause over device registrations) to SQL with bound parameters.

A name is a column of the wire's DeviceRegistration (contract.md 6) or an attribute; `a.b` is `b` within attribute `a`.
`user.x` is a property of the user who was logged in when the device registered; `channelName` asks whether the device
listens to a channel. SQL-92 logic: what is missing is neither equal nor unequal.

The SQL speaks of `devices_deviceregistration r`. NOT is moved down to the comparisons: jsonb's `@>`, which the index
serves, says false where SQL means unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from devices.conditions import (
    And,
    Between,
    Comparison,
    Condition,
    In,
    InvalidCondition,
    IsNull,
    Like,
    Literal,
    Name,
    Not,
    Operand,
    Operator,
    Or,
    parse_condition,
)
from devices.errors import InvalidSegmentQuery
from devices.segment_columns import Column
from devices.segment_names import column_named
from devices.segment_related import HASHED, JOINED_USERS
from devices.segment_scope import NOWHERE, Reading, Scope


@dataclass(frozen=True, slots=True)
class Sql:
    """A condition and its parameters."""

    text: str
    params: tuple[Any, ...] = ()
    joins: str = ""  #: to stand behind `devices_deviceregistration r`

    @property
    def is_hashed(self) -> bool:
        """Whether listeners of channels are hashed. The text is all ours: values stand beside it."""
        return HASHED in self.text


#: what holds when the operands change places
_TURNED = {
    Operator.EQUAL: Operator.EQUAL,
    Operator.NOT_EQUAL: Operator.NOT_EQUAL,
    Operator.LESS: Operator.GREATER,
    Operator.LESS_OR_EQUAL: Operator.GREATER_OR_EQUAL,
    Operator.GREATER: Operator.LESS,
    Operator.GREATER_OR_EQUAL: Operator.LESS_OR_EQUAL,
}
_OPPOSITE = {
    Operator.EQUAL: Operator.NOT_EQUAL,
    Operator.NOT_EQUAL: Operator.EQUAL,
    Operator.LESS: Operator.GREATER_OR_EQUAL,
    Operator.LESS_OR_EQUAL: Operator.GREATER,
    Operator.GREATER: Operator.LESS_OR_EQUAL,
    Operator.GREATER_OR_EQUAL: Operator.LESS,
}


def check(query: str) -> None:
    """Raises InvalidSegmentQuery, which names the place."""
    to_sql(query, NOWHERE)


def to_sql(query: str, scope: Scope) -> Sql:
    """The query as SQL over `r`, which are registrations of `scope`. Raises InvalidSegmentQuery."""
    try:
        text, params = _Writer(scope).condition(parse_condition(query), negated=False)
    except InvalidCondition as error:
        raise InvalidSegmentQuery(f"segmentQuery, character {error.position}: {error.reason}.") from error
    joins = JOINED_USERS if scope.reading is Reading.ALL and re.search(r"\bu\.", text) else ""
    return Sql(f"({text})", tuple(params), joins)


_Sql = tuple[str, list[Any]]


def _joined(word: str, parts: Iterable[_Sql]) -> _Sql:
    texts, params = [], []
    for text, of_part in parts:
        texts.append(f"({text})")
        params += of_part
    return word.join(texts), params


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes each part of the tree."""

    scope: Scope

    def condition(self, condition: Condition, *, negated: bool) -> _Sql:
        if isinstance(condition, Not):
            return self.condition(condition.condition, negated=not negated)
        if isinstance(condition, And | Or):
            is_and = isinstance(condition, And) is not negated
            parts = self if is_and else _Writer(self.scope.within_or())
            written = [parts.condition(part, negated=negated) for part in condition.conditions]
            return _joined(" AND " if is_and else " OR ", written)
        return self._predicate(condition, negated)

    def _predicate(self, condition: Comparison | Between | In | Like | IsNull, negated: bool) -> _Sql:
        if isinstance(condition, Comparison):
            return self._comparison(condition, negated)
        if isinstance(condition, IsNull):
            return column_named(condition.name, self.scope).is_null(negated=condition.negated is not negated)
        negated = condition.negated is not negated
        if isinstance(condition, Between):
            return self._between(condition, negated)
        column = self._column(condition.operand)
        if isinstance(condition, Like):
            return column.like(condition.parts(), negated=negated)
        return column.equal_any(condition.options, negated=negated)

    def _comparison(self, condition: Comparison, negated: bool) -> _Sql:
        left, right, operator = condition.left, condition.right, condition.operator
        if isinstance(left, Literal):
            left, right, operator = right, left, _TURNED[operator]
        column = self._column(left)
        if isinstance(right, Name):
            raise InvalidCondition(right.position, "a column can be compared with a value only")
        operator = _OPPOSITE[operator] if negated else operator
        if operator in (Operator.EQUAL, Operator.NOT_EQUAL):
            return column.equal_any([right], negated=operator is Operator.NOT_EQUAL)
        return column.ordered(operator, right)

    def _between(self, condition: Between, negated: bool) -> _Sql:
        column = self._column(condition.operand)
        low, high = _value(condition.low), _value(condition.high)
        if negated:
            return _joined(" OR ", [column.ordered(Operator.LESS, low), column.ordered(Operator.GREATER, high)])
        return _joined(
            " AND ", [column.ordered(Operator.GREATER_OR_EQUAL, low), column.ordered(Operator.LESS_OR_EQUAL, high)]
        )

    def _column(self, operand: Operand) -> Column:
        if isinstance(operand, Literal):
            raise InvalidCondition(operand.position, "expected the name of a column or attribute")
        return column_named(operand, self.scope)


def _value(operand: Operand) -> Literal:
    if isinstance(operand, Name):
        raise InvalidCondition(operand.position, "a column can be compared with a value only")
    return operand
