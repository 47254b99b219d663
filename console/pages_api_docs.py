"""What the page of the REST API shows: the OpenAPI document, flattened for reading, with calls to copy."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pprint import pformat
from typing import Any

from django.utils.html import format_html, format_html_join

Json = Mapping[str, Any]

#: how `messaging/client/` makes the call; without an entry the page shows plain Python
CLIENT_CALLS = {
    "publish": "messaging.publish(\n"
    '    "Tea is ready",\n'
    '    "default",\n'
    '    PublishOptions(headers={"ios-alert-title": "Corner Coffee"}),\n'
    "    DeliveryOptions(push_broadcast=PushBroadcast.IOS | PushBroadcast.ANDROID),\n"
    ")",
    "getMessageStatus": 'messaging.get_message_status("message:96DB5C50-C1FF-4B35-9209-71523AD1315C")',
    "cancel": 'messaging.cancel("message:96DB5C50-C1FF-4B35-9209-71523AD1315C")',
    "registerDevice": 'messaging.register_device("XXXXXXXXXXXXXXXXXXXXXXXXX", "kims-phone", "ANDROID")',
    "getRegistrations": 'messaging.get_registrations("my-phone")',
    "deleteChannel": 'messaging.delete_channel("news")',
    "unregisterDevice": 'messaging.unregister("my-phone")',
    "pushWithTemplate": 'messaging.push_with_template("welcome", {"name": "Kim"})',
    "getPushTemplates": 'messaging.get_push_templates("ANDROID")',
}
_JSON = {"Content-Type": "application/json"}
#: header fields without which a call is refused
_HEADERS: dict[str, Mapping[str, str]] = {"logOut": {"user-token": "USER-TOKEN"}}
_LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "minLength": "{} or more characters",
    "maxLength": "up to {} characters",
    "minItems": "{} or more",
    "maxItems": "up to {} items",
    "maxProperties": "up to {} entries",
}


@dataclass(frozen=True, slots=True)
class FieldView:
    """A parameter or a property."""

    name: str
    type: str
    is_required: bool
    meaning: str
    limits: str


@dataclass(frozen=True, slots=True)
class RefusalView:
    """One code a call may be refused with."""

    http_status: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SampleView:
    """The call in one language."""

    language: str
    text: str


@dataclass(frozen=True, slots=True)
class OperationView:
    """One call."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[FieldView]
    body: list[FieldView]
    answer_type: str  #: "" where the call never succeeds
    answer: list[FieldView]
    refusals: list[RefusalView]
    samples: list[SampleView]


@dataclass(frozen=True, slots=True)
class GroupView:
    """The calls of one subject."""

    name: str
    operations: list[OperationView]


def groups(document: Json) -> list[GroupView]:
    """Every call of the document, by subject."""
    calls = [
        (operation["tags"][0], _operation(document, method.upper(), path, operation))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    return [GroupView(tag["name"], [call for name, call in calls if name == tag["name"]]) for tag in document["tags"]]


def _operation(document: Json, method: str, path: str, operation: Json) -> OperationView:
    success = _content(operation["responses"].get("200", {})).get("schema")
    return OperationView(
        id=operation["operationId"],
        method=method,
        path=path,
        summary=operation["summary"],
        description=_with_code(operation.get("description", "")),
        parameters=[_field(found, found["name"], found.get("required", False)) for found in _parameters(operation)],
        body=_fields(document, _content(operation.get("requestBody", {})).get("schema")),
        answer_type="" if success is None else _type(success),
        answer=_fields(document, success),
        refusals=_refusals(operation["responses"]),
        samples=_samples(method, path, operation),
    )


def _parameters(operation: Json) -> list[Json]:
    found: list[Json] = operation.get("parameters", [])
    return found


def _content(part: Json) -> Json:
    found: Json = part.get("content", {}).get("application/json", {})
    return found


def _fields(document: Json, schema: Json | None) -> list[FieldView]:
    """The properties of an object, or of the objects in a list."""
    if schema is None:
        return []
    if schema.get("type") == "array":
        return _fields(document, schema["items"])
    if "$ref" in schema:
        return _fields(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    required = schema.get("required", [])
    return [
        _field({"description": known.get("description", ""), "schema": known}, name, name in required)
        for name, known in schema.get("properties", {}).items()
    ]


def _field(told: Json, name: str, is_required: bool) -> FieldView:
    schema = told["schema"]
    is_moment = schema.get("format") == "date-time"
    limits = (
        ["milliseconds since 1970, or ISO 8601"]
        if is_moment
        else [text.format(f"{schema[key]:,}") for key, text in _LIMITS.items() if key in schema]
    )
    if "enum" in schema:
        limits.append(" | ".join(str(value) for value in schema["enum"] if value is not None))
    return FieldView(name, _type(schema), is_required, _with_code(told["description"]), ", ".join(limits))


def _with_code(text: str) -> str:
    """What stands between backticks is code, in the document (CommonMark) and on the page."""
    pieces = enumerate(text.split("`"))
    return format_html_join(
        "", "{}", ((format_html("<code>{}</code>", piece) if n % 2 else piece,) for n, piece in pieces)
    )


def _type(schema: Json) -> str:
    if "anyOf" in schema:
        words = dict.fromkeys(_type(choice) for choice in schema["anyOf"])
        return " or ".join(word for word in words if not (word == "integer" and "number" in words))
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2]).removesuffix("Answer").removesuffix("Body")
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return str(schema.get("type", "any JSON value"))


def _refusals(responses: Json) -> list[RefusalView]:
    return [
        RefusalView(status, code, example["value"]["message"])
        for status, response in responses.items()
        if status != "200"
        for code, example in _content(response)["examples"].items()
    ]


def _samples(method: str, path: str, operation: Json) -> list[SampleView]:
    for parameter in _parameters(operation):
        schema = parameter["schema"]
        example = (schema.get("examples") or schema.get("enum") or [parameter["name"].upper()])[0]
        path = path.replace(f"{{{parameter['name']}}}", str(example))
    examples = _content(operation.get("requestBody", {})).get("examples", {})
    body = next(iter(examples.values()))["value"] if examples else None
    client = CLIENT_CALLS.get(operation["operationId"])
    headers = {**({} if body is None else _JSON), **_HEADERS.get(operation["operationId"], {})}
    return [
        SampleView("curl", _curl(method, path, headers, body)),
        SampleView("JavaScript", _javascript(method, path, headers, body)),
        SampleView("Python", client or _python(method, path, headers, body)),
    ]


def _curl(method: str, path: str, headers: Mapping[str, str], body: object) -> str:
    command = "".join((f'curl -X {method} "$API{path}"', *(f" -H '{name}: {headers[name]}'" for name in headers)))
    return command if body is None else f"{command} -d {shlex.quote(json.dumps(body, indent=2))}"


def _javascript(method: str, path: str, headers: Mapping[str, str], body: object) -> str:
    options = [f"method: '{method}'"]
    if headers:
        options.append(f"headers: {dict(headers)}")
    if body is not None:
        options.append("body: JSON.stringify({})".format(json.dumps(body, indent=2).replace("\n", "\n  ")))
    lines = ",\n  ".join(options)
    return f"const response = await fetch(`${{API}}{path}`, {{\n  {lines},\n}});\nconst answer = await response.json();"


def _python(method: str, path: str, headers: Mapping[str, str], body: object) -> str:
    arguments = [f'f"{{API}}{path}"', f'method="{method}"']
    if body is not None:
        arguments.append(f"data=json.dumps({pformat(body, sort_dicts=False)}).encode()")
    if headers:
        arguments.append(f"headers={json.dumps(headers)}")
    lines = ",\n    ".join(arguments)
    return f"request = urllib.request.Request(\n    {lines},\n)\nanswer = json.load(urllib.request.urlopen(request))"
