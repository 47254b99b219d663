"""A text condition (SQL-92 where syntax, closed grammar) to a tree: shared by segment queries and pub/sub selectors.

    condition  = term {OR term}              term    = factor {AND factor}
    factor     = NOT factor | ( condition ) | predicate
    predicate  = operand (= <> != < <= > >=) operand | name IS [NOT] NULL
               | operand [NOT] BETWEEN operand AND operand
               | operand [NOT] IN ( literal {, literal} )
               | operand [NOT] LIKE 'pattern' [ESCAPE 'c']
    operand    = name | literal              literal = 'text' | number | TRUE | FALSE

A name is a word that may contain dots and hyphens (there is no arithmetic), or any text in double quotes.
The tree says nothing about types or columns: its two readers do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from devices.condition_tokens import MAX_LENGTH, InvalidCondition, Kind, Token, tokens_of

__all__ = [
    "MAX_DEPTH",
    "MAX_LENGTH",
    "And",
    "Between",
    "Comparison",
    "Condition",
    "In",
    "InvalidCondition",
    "IsNull",
    "Like",
    "Literal",
    "Name",
    "Not",
    "Operand",
    "Operator",
    "Or",
    "parse_condition",
]

#: parentheses and NOTs inside each other; AND and OR do not nest, however many there are
MAX_DEPTH = 32


class Operator(Enum):
    """How two operands are compared."""

    EQUAL = "="
    NOT_EQUAL = "<>"
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


@dataclass(frozen=True, slots=True)
class Name:
    """A header or column, as written, without its quotes."""

    text: str
    position: int  #: of its first character, from 1


@dataclass(frozen=True, slots=True)
class Literal:
    """A value. Numbers have at most 40 digits before the point and 40 after it, and an exponent of two digits."""

    value: str | Decimal | bool
    position: int


Operand = Name | Literal


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`"""

    left: Operand
    operator: Operator
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    """`operand [NOT] BETWEEN low AND high`, both ends included."""

    operand: Operand
    low: Operand
    high: Operand
    negated: bool = False


@dataclass(frozen=True, slots=True)
class In:
    """`operand [NOT] IN (options)`, never empty."""

    operand: Operand
    options: tuple[Literal, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Like:
    """`operand [NOT] LIKE pattern [ESCAPE escape]`: % any text, _ one character; a pattern never ends in its escape."""

    operand: Operand
    pattern: str
    escape: str | None = None  #: one character
    negated: bool = False

    def parts(self) -> list[tuple[str, bool]]:
        """The pattern's characters, each with whether it stands for itself (an escaped % or _ does)."""
        found, characters = [], iter(self.pattern)
        for character in characters:
            if character == self.escape:
                found.append((next(characters), True))
            else:
                found.append((character, character not in "%_"))
        return found


@dataclass(frozen=True, slots=True)
class IsNull:
    """`name IS [NOT] NULL`"""

    name: Name
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """`NOT condition`"""

    condition: Condition


@dataclass(frozen=True, slots=True)
class And:
    """Two conditions or more that must all hold."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Two conditions or more of which one must hold."""

    conditions: tuple[Condition, ...]


Condition = Comparison | Between | In | Like | IsNull | Not | And | Or


def parse_condition(text: str) -> Condition:
    """The tree of a condition. Raises InvalidCondition, which names the place."""
    return _Parser(tokens_of(text)).whole()


class _Parser:
    """Recursive descent over the tokens; the last one is always Kind.END."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> Condition:
        condition = self._condition()
        if self._token.kind is not Kind.END:
            raise self._expected("AND, OR or the end")
        return condition

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._token
        self._at += 1
        return token

    def _accept(self, word: str) -> bool:
        """Take the keyword or sign if it comes next."""
        if self._token.is_sign(word):
            self._at += 1
            return True
        return False

    def _demand(self, word: str) -> None:
        if not self._accept(word):
            raise self._expected(word)

    def _expected(self, what: str) -> InvalidCondition:
        return InvalidCondition(self._token.position, f"expected {what}, found {self._token.shown}")

    def _condition(self) -> Condition:
        terms = self._separated_by("OR", self._term)
        return terms[0] if len(terms) == 1 else Or(terms)

    def _term(self) -> Condition:
        factors = self._separated_by("AND", self._factor)
        return factors[0] if len(factors) == 1 else And(factors)

    def _separated_by(self, word: str, part: Callable[[], Condition]) -> tuple[Condition, ...]:
        parts = [part()]
        while self._accept(word):
            parts.append(part())
        return tuple(parts)

    def _factor(self) -> Condition:
        position = self._token.position
        if self._accept("NOT"):
            return Not(self._nested(self._factor, position))
        if self._accept("("):
            condition = self._nested(self._condition, position)
            self._demand(")")
            return condition
        return self._predicate()

    def _nested(self, part: Callable[[], Condition], position: int) -> Condition:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidCondition(position, f"more than {MAX_DEPTH} levels of parentheses and NOT")
        condition = part()
        self._depth -= 1
        return condition

    def _predicate(self) -> Condition:
        operand = self._operand()
        if self._token.kind is Kind.OPERATOR:
            return Comparison(operand, _operator(self._take()), self._operand())
        if self._accept("IS"):
            return self._is_null(operand)
        negated = self._accept("NOT")
        if self._accept("BETWEEN"):
            return self._between(operand, negated)
        if self._accept("IN"):
            return In(operand, self._options(), negated)
        if self._accept("LIKE"):
            return self._like(operand, negated)
        raise self._expected("BETWEEN, IN or LIKE" if negated else "a comparison, BETWEEN, IN, LIKE or IS NULL")

    def _is_null(self, operand: Operand) -> Condition:
        negated = self._accept("NOT")
        self._demand("NULL")
        if isinstance(operand, Literal):
            raise InvalidCondition(operand.position, "only a name can be NULL")
        return IsNull(operand, negated)

    def _between(self, operand: Operand, negated: bool) -> Condition:
        low = self._operand()
        self._demand("AND")
        return Between(operand, low, self._operand(), negated)

    def _options(self) -> tuple[Literal, ...]:
        self._demand("(")
        options = [self._literal()]
        while self._accept(","):
            options.append(self._literal())
        self._demand(")")
        return tuple(options)

    def _like(self, operand: Operand, negated: bool) -> Condition:
        position = self._token.position
        pattern = self._text("a pattern in single quotes")
        escape = None
        if self._accept("ESCAPE"):
            escape_position = self._token.position
            escape = self._text("one character in single quotes")
            if len(escape) != 1:
                raise InvalidCondition(escape_position, "ESCAPE takes exactly one character")
            if re.sub(re.escape(escape) + ".", "", pattern, flags=re.DOTALL).endswith(escape):
                raise InvalidCondition(position, "the pattern ends in its escape character")
        return Like(operand, pattern, escape, negated)

    def _text(self, what: str) -> str:
        if self._token.kind is not Kind.TEXT:
            raise self._expected(what)
        value = self._take().value
        assert isinstance(value, str)
        return value

    def _operand(self) -> Operand:
        if self._token.kind is Kind.NAME:
            token = self._take()
            return Name(str(token.value), token.position)
        return self._literal("a name or a value")

    def _literal(self, what: str = "a value") -> Literal:
        token = self._token
        if token.kind is Kind.TEXT or token.kind is Kind.NUMBER:
            return Literal(self._take().value, token.position)
        for word, value in (("TRUE", True), ("FALSE", False)):
            if self._accept(word):
                return Literal(value, token.position)
        raise self._expected(what)


def _operator(token: Token) -> Operator:
    return Operator("<>" if token.value == "!=" else token.value)
