"""What a segment query means, written a second time: three-valued logic over plain dicts, and a writer of query text.

Knows nothing of `devices.segment_query`: its trees are tuples, its comparisons Python's.

    ("and" | "or", [tree, ...])                 ("not", tree)                 ("null", name, negated)
    ("compare", name, sign, literal)            ("between", name, low, high, negated)
    ("in", name, [literal, ...], negated)       ("like", name, pattern, escape, negated)
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

Tree = tuple[Any, ...]
#: device by the wire's names; attributes under "attributes", channels as a list, "user" a dict or None
Device = Mapping[str, Any]
Truth = bool | None

COLUMNS = ("deviceId", "operatingSystemName", "operatingSystemVersion", "userId", "locale", "timeZone")
USERS_COLUMNS = ("login", "email", "name")
TIMES = ("created", "updated", "expiration")
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def holds(tree: Tree, device: Device) -> Truth:
    """True, False, or None where SQL says unknown."""
    kind = tree[0]
    if kind == "not":
        return _not(holds(tree[1], device))
    if kind == "and":
        return _all([holds(part, device) for part in tree[1]])
    if kind == "or":
        return _not(_all([_not(holds(part, device)) for part in tree[1]]))
    if kind == "between":
        within = [_compare(device, tree[1], ">=", tree[2]), _compare(device, tree[1], "<=", tree[3])]
        return _negated_if(tree[4], _all(within))
    if kind == "compare":
        return _compare(device, tree[1], tree[2], tree[3])
    return _negated_if(tree[-1], _simple(tree, device))


def _simple(tree: Tree, device: Device) -> Truth:
    kind, name = tree[0], tree[1]
    if kind == "in":
        found = [_compare(device, name, "=", option) for option in tree[2]]
        return None if None in found else any(found)
    if name == "channelName":
        return _any_channel(tree, device["channels"])
    value = _value(device, name)
    if kind == "null":
        return value is None
    return None if value is None else _like(_as_text(value), tree[2], tree[3])


def _any_channel(tree: Tree, channels: list[str]) -> bool:
    if tree[0] == "null":
        return not channels
    return any(_like(channel, tree[2], tree[3]) for channel in channels)


def _not(truth: Truth) -> Truth:
    return None if truth is None else not truth


def _negated_if(negated: bool, truth: Truth) -> Truth:
    return _not(truth) if negated else truth


def _all(truths: list[Truth]) -> Truth:
    if False in truths:
        return False
    return None if None in truths else True


def _value(device: Device, name: str) -> Any:
    """None where it is missing; columns that hold '' hold nothing, attributes may."""
    if name.startswith("user."):
        user, own = device["user"], name.removeprefix("user.")
        if user is None:
            return None
        return (user[own] or None) if own in USERS_COLUMNS else _at(user["properties"], own)
    if name in TIMES:
        return device[name]
    if name in COLUMNS:
        return device[name] or None
    return _at(device["attributes"], name)


def _at(attributes: Any, path: str) -> Any:
    for key in path.split("."):
        if not isinstance(attributes, dict):
            return None
        attributes = attributes.get(key)
    return attributes


def _compare(device: Device, name: str, sign: str, literal: Any) -> Truth:
    if name == "channelName":
        wanted = "default" if _as_text(literal).lower() == "default" else _as_text(literal)
        return (wanted in device["channels"]) is (sign == "=")
    value = _value(device, name)
    if value is None:
        return None
    if name in TIMES:
        return _SIGNS[sign](value, _EPOCH + timedelta(milliseconds=int(literal)))
    if name == "operatingSystemName" and _number(literal) is None:
        literal = _as_text(literal).upper()
    is_text = name in COLUMNS or name.removeprefix("user.") in USERS_COLUMNS
    if sign in ("=", "<>"):
        return (_equals_text if is_text else _equals)(value, literal) is (sign == "=")
    return _ordered(value, sign, literal, is_text=is_text)


def _equals_text(value: str, literal: Any) -> bool:
    return value == _as_text(literal)


def _equals(value: Any, literal: Any) -> bool:
    """An attribute: a text of digits is a number too, as a literal."""
    if isinstance(value, dict):
        return False
    if isinstance(value, bool):
        return value is literal
    if isinstance(value, str):
        return value == _as_text(literal)
    number = _number(literal)
    return number is not None and Decimal(str(value)) == number


def _ordered(value: Any, sign: str, literal: Any, *, is_text: bool) -> Truth:
    number = _number(literal)
    if number is None:
        return _SIGNS[sign](_as_text(value), _as_text(literal))
    if is_text:
        leading = re.match(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", value)
        return None if leading is None else _SIGNS[sign](Decimal(leading[0]), number)
    own = None if isinstance(value, bool | dict) else _number(value)
    return None if own is None else _SIGNS[sign](own, number)


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return Decimal(value) if re.fullmatch(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", value) else None
    return Decimal(str(value))


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _like(text: str, pattern: str, escape: str | None) -> bool:
    regex, characters = "", iter(pattern)
    for character in characters:
        if character == escape:
            regex += re.escape(next(characters))
        else:
            regex += {"%": ".*", "_": "."}.get(character) or re.escape(character)
    return re.fullmatch(regex, text, re.DOTALL) is not None


def written(tree: Tree, chance: Random) -> str:
    """The tree as a query, spelled in one of many ways."""
    if tree[0] in ("and", "or"):
        word = _word(f" {tree[0]} ", chance)
        return "(" + word.join(written(part, chance) for part in tree[1]) + ")"
    if tree[0] == "not":
        return _word("not ", chance) + f"({written(tree[1], chance)})"
    text = _predicate(tree, chance)
    return f"(\n{text}\t)" if chance.random() < 0.2 else text


def _predicate(tree: Tree, chance: Random) -> str:
    name, negation = _name(tree[1], chance), " not" if tree[-1] is True else ""
    if tree[0] == "compare":
        return _comparison(name, tree[2], _literal(tree[3]), chance)
    if tree[0] == "null":
        return f"{name}{_word(f' is{negation} null', chance)}"
    if tree[0] == "between":
        ends = _literal(tree[2]) + _word(" and ", chance) + _literal(tree[3])
        return f"{name}{_word(f'{negation} between ', chance)}{ends}"
    if tree[0] == "in":
        return f"{name}{_word(f'{negation} in', chance)}({' , '.join(map(_literal, tree[2]))})"
    escape = "" if tree[3] is None else _word(" escape ", chance) + _literal(tree[3])
    return f"{name}{_word(f'{negation} like ', chance)}{_literal(tree[2])}{escape}"


def _comparison(name: str, sign: str, literal: str, chance: Random) -> str:
    if chance.random() < 0.3:
        turned = sign.replace("<", "#").replace(">", "<").replace("#", ">") if sign != "<>" else "!="
        return f"{literal} {turned} {name}"
    return f"{name}{chance.choice(['', ' ', '  '])}{sign}{chance.choice(['', ' '])}{literal}"


def _word(words: str, chance: Random) -> str:
    return chance.choice([words.upper(), words, words.title()])


def _name(name: str, chance: Random) -> str:
    if re.fullmatch(r"[a-zA-Z]+(\.[a-zA-Z]+)*", name) and name != "and" and chance.random() < 0.8:
        return name
    return '"' + name.replace('"', '""') + '"'


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "false"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)
