"""Selectors: a condition over message headers (seed 1, conditional delivery) as a predicate; pure.

Header values are strings. A comparison is numeric when both sides are numbers, else by text. What names a header
the message does not have never matches, negated or not (SQL's unknown); `IS NULL` asks for exactly that.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from itertools import chain, islice
from typing import Any, assert_never

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
    Not,
    Operand,
    Operator,
    Or,
    parse_condition,
)

#: in one selector, each option of an IN and each end of a BETWEEN being one: they cost with every message
MAX_COMPARISONS = 50

Headers = Mapping[str, str]
Predicate = Callable[[Headers], bool]
#: SQL's three values: None is unknown
_Truth = Callable[[Headers], bool | None]
_Value = Callable[[Headers], str | Decimal | None]

_Compare = Callable[[Any, Any], bool]
_COMPARE: dict[Operator, _Compare] = {
    Operator.EQUAL: operator.eq,
    Operator.NOT_EQUAL: operator.ne,
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
}
#: what counts as a number in a header: bounded, so that comparing stays cheap
_NUMBER = re.compile(r"\s*[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,2})?\s*", re.ASCII)


@lru_cache(maxsize=128)  # clients choose what is in here
def predicate_of(selector: str) -> Predicate:
    """Whether a message with these headers is wanted. Raises InvalidCondition, which names the place."""
    condition = parse_condition(selector)
    for position in islice(_comparisons(condition), MAX_COMPARISONS, None):
        raise InvalidCondition(position, f"more than {MAX_COMPARISONS} comparisons")
    truth = _truth(condition)
    return lambda headers: truth(headers) is True


def _comparisons(condition: Condition) -> Iterator[int]:
    """Where each comparison begins."""
    match condition:
        case And(conditions) | Or(conditions):
            yield from chain.from_iterable(map(_comparisons, conditions))
        case Not(inner):
            yield from _comparisons(inner)
        case In(_, options):
            yield from (option.position for option in options)
        case Between(_, low, high):
            yield from (low.position, high.position)
        case Comparison(operand) | Like(operand) | IsNull(operand):
            yield operand.position
        case _:
            assert_never(condition)


def _truth(condition: Condition) -> _Truth:
    match condition:
        case Comparison(left, compared, right):
            return _comparison(_value(left), _COMPARE[compared], _value(right))
        case Between(operand, low, high, negated):
            within = _both(
                _comparison(_value(operand), operator.ge, _value(low)),
                _comparison(_value(operand), operator.le, _value(high)),
            )
            return _negated_if(negated, within)
        case In(operand, options, negated):
            return _negated_if(negated, _in(_value(operand), [_value(option) for option in options]))
        case Like(operand, _, _, negated):
            return _negated_if(negated, _like(_value(operand), like_pattern(condition)))
        case IsNull(name, negated):
            return lambda headers: (name.text in headers) is negated
        case Not(inner):
            return _negated_if(True, _truth(inner))
        case And(conditions):
            return _all([_truth(part) for part in conditions])
        case Or(conditions):
            return _any([_truth(part) for part in conditions])
        case _:
            assert_never(condition)


def _value(operand: Operand) -> _Value:
    if isinstance(operand, Literal):
        literal = operand.value
        constant = ("true" if literal else "false") if isinstance(literal, bool) else literal
        return lambda headers: constant
    name = operand.text
    return lambda headers: headers.get(name)


def _comparison(left: _Value, compared: _Compare, right: _Value) -> _Truth:
    def truth(headers: Headers) -> bool | None:
        a, b = left(headers), right(headers)
        return None if a is None or b is None else compared(*_alike(a, b))

    return truth


def _alike(a: str | Decimal, b: str | Decimal) -> tuple[str, str] | tuple[Decimal, Decimal]:
    """Both as numbers when both are, else both as text."""
    if isinstance(a, str) and isinstance(b, str) and (a == b or not (_NUMBER.fullmatch(a) and _NUMBER.fullmatch(b))):
        return a, b
    number_a, number_b = _number(a), _number(b)
    if number_a is None or number_b is None:
        return str(a), str(b)
    return number_a, number_b


def _number(value: str | Decimal) -> Decimal | None:
    if isinstance(value, Decimal):
        return value
    return Decimal(value.strip()) if _NUMBER.fullmatch(value) else None


def _in(value: _Value, options: list[_Value]) -> _Truth:
    return _any([_comparison(value, operator.eq, option) for option in options])


def _like(value: _Value, pattern: re.Pattern[str]) -> _Truth:
    def truth(headers: Headers) -> bool | None:
        text = value(headers)
        return None if text is None else pattern.fullmatch(str(text)) is not None

    return truth


def like_pattern(like: Like) -> re.Pattern[str]:
    """The pattern as a regular expression that never goes back: `%a%a%a%b` as `.*a.*a.*a.*b` would take minutes.

    Each run of characters between two % is taken where it is first found, since what follows a % may begin anywhere
    behind it; the last run must end the text.
    """
    runs: list[list[str]] = [[]]
    for character, is_literal in like.parts():
        if character == "%" and not is_literal:
            runs.append([])
        else:
            runs[-1].append(re.escape(character) if is_literal else ".")
    first, *others = runs
    if not others:
        return re.compile("".join(first), re.DOTALL)
    *between, last = others
    found = "".join(f"(?>.*?{''.join(run)})" for run in between)
    end = f"(?=.{{{len(last)}}}).*+(?<={''.join(last)})" if last else ".*+"
    return re.compile("".join(first) + found + end, re.DOTALL)


def _negated_if(negated: bool, inner: _Truth) -> _Truth:
    if not negated:
        return inner

    def truth(headers: Headers) -> bool | None:
        value = inner(headers)
        return None if value is None else not value

    return truth


def _both(one: _Truth, other: _Truth) -> _Truth:
    return _all([one, other])


def _all(parts: list[_Truth]) -> _Truth:
    """False if one is false, unknown if one is unknown, else true."""

    def truth(headers: Headers) -> bool | None:
        unknown = False
        for part in parts:
            value = part(headers)
            if value is False:
                return False
            unknown = unknown or value is None
        return None if unknown else True

    return truth


def _any(parts: list[_Truth]) -> _Truth:
    """True if one is true, unknown if one is unknown, else false."""

    def truth(headers: Headers) -> bool | None:
        unknown = False
        for part in parts:
            value = part(headers)
            if value is True:
                return True
            unknown = unknown or value is None
        return None if unknown else False

    return truth
