"""Bodies of pushes from a template as they come in: the only file that knows "templateValues"."""

from __future__ import annotations

from devices.errors import InvalidProperty, PropertyTooLong
from devices.push_services import Os
from messaging.api.shapes import MAX_VALUE, MAX_VALUE_NAME, MAX_VALUES

_KEY = "templateValues"


def parse_template_values(body: dict[str, object]) -> dict[str, str]:
    """The values by name, as text. A body without "templateValues" is taken for the bare map one SDK sends.

    Raises InvalidProperty, PropertyTooLong (8000).
    """
    values = body.get(_KEY, body) or {}
    if not isinstance(values, dict):
        raise InvalidProperty(f"{_KEY} must be an object.", field=_KEY)
    if len(values) > MAX_VALUES:
        raise PropertyTooLong(f"Property value exceeds the length limit: {_KEY} takes {MAX_VALUES} values.", field=_KEY)
    return {_name(name): _text(name, value) for name, value in values.items() if value is not None}


def _name(name: str) -> str:
    if len(name) > MAX_VALUE_NAME:
        raise PropertyTooLong(
            f"Property value exceeds the length limit: a name in {_KEY} takes {MAX_VALUE_NAME} characters.", field=_KEY
        )
    return name


def _text(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidProperty(f"{_KEY}.{name} must be text or a number.", field=_KEY)
    text = str(value)
    if len(text) > MAX_VALUE:
        raise PropertyTooLong(
            f"Property value exceeds the length limit: {_KEY}.{name} takes {MAX_VALUE} characters.", field=_KEY
        )
    return text


def parse_os(name: str) -> Os:
    """The operating system of an address, in any letter case. Raises InvalidProperty."""
    try:
        return Os(name.upper())
    except ValueError as error:
        raise InvalidProperty(f"The operating system must be one of {', '.join(Os.values)}.") from error
