"""Smart text: `{name}` and `{name|default}` in a template's texts, compiled once and filled in per device; pure.

A name is a word that may contain dots (`age`, `Users.name`); other braces are text. The default is ours: the hosted
original documents none (contract.md 5). No objects, no methods, no logic (reliability.md 2.5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: bytes of a text once it is filled in; every push service's whole payload is smaller or hardly larger
MAX_RENDERED_BYTES = 4_096

_PLACEHOLDER = re.compile(r"\{\s*([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\s*(?:\|([^{}]*))?\}")


class MissingValue(ValueError):
    """A name has neither a value nor a default."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no value for {{{name}}}, and no default.")
        self.name = name


class RenderedTooLong(ValueError):
    """The text grew beyond 4 KiB."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One `{name|default}`."""

    name: str
    default: str | None  #: None: without a value the text cannot be written

    @property
    def source(self) -> str:
        """As somebody wrote it."""
        return f"{{{self.name}}}" if self.default is None else f"{{{self.name}|{self.default}}}"


@dataclass(frozen=True, slots=True)
class SmartText:
    """A text in pieces."""

    parts: tuple[str | Placeholder, ...]

    @property
    def names(self) -> frozenset[str]:
        """Values the text asks for."""
        return frozenset(part.name for part in self.parts if isinstance(part, Placeholder))

    def bind(self, values: Mapping[str, str]) -> SmartText:
        """The text with these values in place; the other placeholders stay."""
        return SmartText(tuple(part if isinstance(part, str) else values.get(part.name, part) for part in self.parts))

    def render(self, values: Mapping[str, str]) -> str:
        """The text for one device. Raises MissingValue, RenderedTooLong."""
        text = "".join(part if isinstance(part, str) else _value(part, values) for part in self.parts)
        if len(text) * 4 > MAX_RENDERED_BYTES and len(text.encode()) > MAX_RENDERED_BYTES:
            raise RenderedTooLong(f"A text has more than {MAX_RENDERED_BYTES} bytes once its values are filled in.")
        return text

    def sample(self) -> str:
        """The text for people: defaults in place, the other placeholders as written."""
        return "".join(part if isinstance(part, str) else part.default or part.source for part in self.parts)


def _value(part: Placeholder, values: Mapping[str, str]) -> str:
    value = values.get(part.name) or part.default
    if value is None:
        raise MissingValue(part.name)
    return value


def compile_text(text: str) -> SmartText:
    """The pieces of a text; any text compiles."""
    parts: list[str | Placeholder] = []
    end = 0
    for found in _PLACEHOLDER.finditer(text):
        if found.start() > end:
            parts.append(text[end : found.start()])
        default = found[2]
        parts.append(Placeholder(found[1], None if default is None else default.strip()))
        end = found.end()
    if end < len(text):
        parts.append(text[end:])
    return SmartText(tuple(parts))
