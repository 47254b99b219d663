"""Query strings of lists: what cannot be read is taken as not given, since people edit addresses."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

E = TypeVar("E", bound=Enum)
_LARGEST = 2**63 - 1  # bigint


def choice_of(choices: type[E], text: str | None) -> E | None:
    """The member with this value, or None."""
    try:
        return choices(text)
    except ValueError:
        return None


def number_of(text: str | None) -> int | None:
    """A number that PostgreSQL can compare a key with, or None."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > 19:
        return None
    return min(int(text), _LARGEST)
