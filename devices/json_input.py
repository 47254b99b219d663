"""The gate JSON bodies pass before anything else reads them: size, encoding, depth, and what the database cannot hold.

A body is UTF-8 (other encodings are not guessed) and one JSON object without NaN, Infinity, lone surrogates, U+0000 or
integers beyond 64 bits, at most 32 levels deep. Where a key stands twice in an object, the last one counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from django.http import HttpRequest

from devices.errors import ApiError, BodyTooLarge, BodyTooSlow, InvalidJson, InvalidProperty, UnsupportedContentType

KIB = 1024
MAX_DEPTH = 32
_INT64 = range(-(2**63), 2**63)
_CONTENT_TYPE = re.compile(r"""application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?""", re.IGNORECASE)
#: escapes of surrogates, alone in group 1; what a backslash escapes is passed over
_SURROGATES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
#: msgspec says where it found a fault as a path: "... - at `$.channels[1]`"
_FAULT = re.compile(r"(?P<reason>.*) - at `\$\.(?P<field>\w+)(?P<rest>.*)`")

Struct = TypeVar("Struct", bound=msgspec.Struct)


def read_json_object(
    request: HttpRequest, *, max_bytes: int, more_with: Mapping[str, int] | None = None
) -> dict[str, object]:
    """The body as a JSON object; one that has a key of `more_with` may be that many bytes long instead.

    Raises UnsupportedContentType, BodyTooLarge, BodyTooSlow, InvalidJson.
    """
    if not _CONTENT_TYPE.fullmatch(request.META.get("CONTENT_TYPE", "").strip()):
        raise UnsupportedContentType()
    more = more_with or {}
    raw = _read(request, max(max_bytes, *more.values()) if more else max_bytes)
    body = parse_json_object(raw)
    if len(raw) > max_bytes and not any(len(raw) <= limit for key, limit in more.items() if key in body):
        raise _too_large(max_bytes)
    return body


def _read(request: HttpRequest, max_bytes: int) -> bytes:
    """At most `max_bytes`; a longer declared length is refused before a byte is read.

    Raises BodyTooLarge, BodyTooSlow, InvalidJson for one that broke off.
    """
    declared = request.META.get("CONTENT_LENGTH") or ""
    if declared.isdecimal() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    # a chunked body has no length, and Django would give b"" for it
    is_chunked = "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower()
    stream = request.META["wsgi.input"] if is_chunked else request
    try:
        raw: bytes = stream.read(max_bytes + 1)
    except OSError as error:  # console.slow_bodies gave it up
        raise BodyTooSlow() from error
    if len(raw) > max_bytes:
        raise _too_large(max_bytes)
    if declared.isdecimal() and not is_chunked and len(raw) < int(declared):
        raise InvalidJson("The body ended before its Content-Length.")
    return raw


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {max_bytes // KIB} KiB.")


def parse_json_object(raw: bytes) -> dict[str, object]:
    """The one JSON object in `raw`. Raises InvalidJson."""
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(f"The body is not valid JSON: {_reason(error, raw)}.") from error
    if not isinstance(body, dict):
        raise InvalidJson("The body must be a JSON object.")
    _check_values(body)
    return body


def _reason(error: Exception, raw: bytes) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return f"it is nested more than {MAX_DEPTH} levels deep"
    if any(found[1] for found in _SURROGATES.finditer(raw)):  # msgspec calls this truncated
        return "it holds half of a surrogate pair"
    return str(error).removeprefix("JSON is malformed: ")


def _check_values(body: dict[str, object]) -> None:
    """Walk level by level: recursion would let the caller choose our stack depth."""
    level: list[object] = [body]
    for _ in range(MAX_DEPTH):
        level = [child for value in level for child in _children(value)]
        if not level:
            return
    if any(isinstance(value, dict | list) for value in level):
        raise InvalidJson(f"The body is nested more than {MAX_DEPTH} levels deep.")
    for value in level:
        _children(value)


def _children(value: object) -> list[object]:
    """What the value holds, keys included, once the value itself is found storable."""
    if isinstance(value, str):
        if "\0" in value:  # PostgreSQL stores it neither in text nor in jsonb
            raise InvalidJson("The body holds the character U+0000.")
    elif isinstance(value, list):
        return value
    elif isinstance(value, dict):
        return [*value, *value.values()]
    elif isinstance(value, int) and value not in _INT64:
        raise InvalidJson("The body holds an integer beyond 64 bits.")
    return []


def to_struct(body: dict[str, object], shape: type[Struct], errors: Mapping[str, type[ApiError]]) -> Struct:
    """The body as `shape`; keys it does not name are ignored.

    Raises InvalidProperty, or for a property in `errors` that class, naming the property.
    """
    try:
        return msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        fault = _FAULT.fullmatch(str(error))
        if fault is None:
            raise InvalidProperty(f"{error}.") from error
        field = fault["field"]
        reason = fault["reason"].replace("`", "")
        message = f"{field}{fault['rest']}: {reason[:1].lower()}{reason[1:]}."
        raise errors.get(field, InvalidProperty)(message, field=field) from error
