"""Reads the XML of a WNS notification: well-formed, no document type, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat


class MalformedXml(ValueError):
    """The payload is no XML a notification may hold."""


@dataclass(slots=True)
class Document:
    """A parsed payload."""

    root: str = ""
    texts: list[str] = field(default_factory=list)  #: content of the <text> elements, in order
    attributes: dict[str, str] = field(default_factory=dict)  #: of the root (launch) and of a badge (value)
    _is_in_text: bool = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Open an element."""
        if not self.root:
            self.root, self.attributes = name, attributes
        if name == "text":
            self.texts.append("")
            self._is_in_text = True

    def end(self, name: str) -> None:
        """Close an element."""
        self._is_in_text = self._is_in_text and name != "text"

    def characters(self, text: str) -> None:
        """Take text."""
        if self._is_in_text:
            self.texts[-1] += text


def read_xml(payload: bytes) -> Document:
    """Parse a payload. Raises MalformedXml, also for a document type (no entities, so no entity bombs)."""
    document = Document()
    parser = expat.ParserCreate()
    parser.StartElementHandler = document.start
    parser.EndElementHandler = document.end
    parser.CharacterDataHandler = document.characters
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(payload, True)
    except expat.ExpatError as err:
        raise MalformedXml(str(err)) from err
    return document


def _refuse_doctype(name: str, system_id: str | None, public_id: str | None, has_subset: bool) -> None:
    raise MalformedXml("a document type is not allowed")
