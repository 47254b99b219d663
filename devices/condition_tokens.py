"""The words of a condition (`devices.conditions`): names, texts, numbers, comparison signs, keywords."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

MAX_LENGTH = 4096

_KEYWORDS = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN", "LIKE", "ESCAPE", "IS", "NULL", "TRUE", "FALSE"})
# Bounded digits and exponent: Decimal and PostgreSQL's numeric must hold every number without growing (1e999999999).
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<NUMBER>[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,2})?)(?![\w.])
    |'(?P<TEXT>(?:[^']|'')*)'
    |"(?P<QUOTED>(?:[^"]|"")+)"
    |(?P<WORD>[^\W\d][\w$]*(?:[.-][\w$]+)*)
    |(?P<OPERATOR><>|!=|<=|>=|=|<|>)
    |(?P<SIGN>[(),])
    |(?P<END>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_SPACE = re.compile(r"\s*")


class InvalidCondition(ValueError):
    """The text is no condition of the grammar."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"at character {position}: {reason}")
        self.position = position  #: of the first character that does not fit, from 1
        self.reason = reason


class Kind(Enum):
    """What a token is."""

    NAME = "NAME"
    TEXT = "TEXT"
    NUMBER = "NUMBER"
    OPERATOR = "OPERATOR"
    SIGN = "SIGN"  #: a keyword in upper case, a parenthesis or a comma
    END = "END"


@dataclass(frozen=True, slots=True)
class Token:
    """One word and where it begins, counted in characters from 1."""

    kind: Kind
    value: str | Decimal
    position: int
    shown: str  #: for error messages

    def is_sign(self, word: str) -> bool:
        """Whether it is that keyword or sign."""
        return self.kind is Kind.SIGN and self.value == word


def tokens_of(text: str) -> list[Token]:
    """Every token, Kind.END last. Raises InvalidCondition."""
    if len(text) > MAX_LENGTH:
        raise InvalidCondition(MAX_LENGTH + 1, f"a condition has at most {MAX_LENGTH} characters")
    if unstorable := _UNSTORABLE.search(text):
        raise InvalidCondition(unstorable.start() + 1, "NUL and half characters cannot be used")
    tokens: list[Token] = []
    at = 0
    while not tokens or tokens[-1].kind is not Kind.END:
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unreadable(text, at)
        tokens.append(_token(match))
        at = match.end()
    return tokens


def _unreadable(text: str, at: int) -> InvalidCondition:
    space = _SPACE.match(text, at)
    assert space is not None
    start = space.end()
    if text[start] in "'\"":
        return InvalidCondition(start + 1, "the quote is never closed")
    return InvalidCondition(start + 1, f"unexpected {text[start : start + 20]!r}")


def _token(match: re.Match[str]) -> Token:
    name = match.lastgroup
    assert name is not None
    written, position = match[name], match.start(name) + 1
    if name == "WORD":
        keyword = written.upper()
        if keyword in _KEYWORDS:
            return Token(Kind.SIGN, keyword, position, keyword)
        return Token(Kind.NAME, written, position, repr(written))
    if name == "QUOTED":
        return Token(Kind.NAME, written.replace('""', '"'), position - 1, repr(written))
    if name == "TEXT":
        return Token(Kind.TEXT, written.replace("''", "'"), position - 1, f"'{written[:20]}'")
    if name == "NUMBER":
        return Token(Kind.NUMBER, Decimal(written), position, written)
    return Token(Kind(name), written, position, written if written else "the end")
