"""The document of the REST API (OpenAPI 3.1), made of the table of operations and of the structs that views use."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import msgspec

from devices.api.shapes import ErrorAnswer
from devices.errors import ApiError, ServiceUnavailable, TooManyRequests
from messaging.api.idempotent import HEADER, REPLAYED
from messaging.api.operation import IDEMPOTENCY_KEY, Operation
from messaging.api.operations import OPERATIONS
from messaging.idempotency import REMEMBERED_FOR

_REF = "#/components/schemas/{name}"
_USER_TOKEN = "user-token"  # noqa: S105  # name of a header
_DESCRIPTION = """\
Push campaigns and pub/sub messages, compatible with Backendless Messaging.

Every address begins with `/<application-id>/<api-key>`, or with `/api` by a host name of the application. The key \
decides what a caller may do. Bodies are JSON objects in UTF-8 of up to 256 KiB (64 KiB for registrations and users, \
10 MiB with `pushSinglecast`), at most 32 levels deep, without U+0000 and without integers beyond 64 bits; properties \
not named here are ignored. A moment is a number of milliseconds since 1970 (below 10^11: seconds), or ISO 8601 text \
with a time zone."""


def document(version: str, url: str) -> dict[str, Any]:
    """The document of the server at `url`, `https://push.example.org`."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Clarion", "version": version, "description": _DESCRIPTION},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": _servers(url),
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in OPERATIONS)],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                _USER_TOKEN: {
                    "type": "apiKey",
                    "in": "header",
                    "name": _USER_TOKEN,
                    "description": "What logging in answered. The call is then judged by the user's roles as well.",
                }
            },
        },
    }


def _servers(url: str) -> list[dict[str, Any]]:
    variables = {
        "applicationId": {"default": "APPLICATION-ID", "description": "Id of the application."},
        "apiKey": {"default": "API-KEY", "description": "Key of the application, as it was shown when it was made."},
    }
    return [
        {"url": f"{url}/{{applicationId}}/{{apiKey}}", "description": "By id and key", "variables": variables},
        {
            "url": "https://{host}/api",
            "description": "By a host name of the application",
            "variables": {"host": {"default": "demo.localhost", "description": "Host name of the application."}},
        },
    ]


def _paths() -> dict[str, dict[str, Any]]:
    by_path = sorted(OPERATIONS, key=lambda operation: operation.path)
    grouped = {path: list(found) for path, found in groupby(by_path, key=lambda operation: operation.path)}
    in_order = dict.fromkeys(operation.path for operation in OPERATIONS)
    return {path: {found.method: _operation(found) for found in grouped[path]} for path in in_order}


def _operation(operation: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.operation_id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": _responses(operation),
    }
    if operation.description:
        told["description"] = operation.description
    if parameters := _parameters(operation):
        told["parameters"] = parameters
    if operation.bodies:
        told["requestBody"] = {"required": True, "content": {"application/json": _body(operation)}}
    if operation.takes_user_token:
        told["security"] = [{}, {_USER_TOKEN: []}]
    return told


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "description": meaning, "schema": schema}
        for name, (meaning, schema) in operation.parameters.items()
    ]
    if operation.is_once:
        meaning = f"The same key again within {REMEMBERED_FOR.days} days publishes nothing and gets the first answer."
        parameters.append({"name": HEADER, "in": "header", "description": meaning, "schema": IDEMPOTENCY_KEY})
    return parameters


def _body(operation: Operation) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": {"$ref": _REF.format(name=operation.bodies[0].__name__)}}
    if operation.examples:
        body["examples"] = {name: {"value": value} for name, value in operation.examples.items()}
    return body


def _responses(operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {} if operation.never_succeeds else {"200": _success(operation)}
    by_status = sorted(operation.all_errors, key=lambda error: (error.http_status, error.code))
    for status, errors in groupby(by_status, key=lambda error: error.http_status):
        responses[str(status)] = _refusal(list(errors))
    return responses


def _success(operation: Operation) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([operation.answer], ref_template=_REF)
    response: dict[str, Any] = {"description": "Done.", "content": {"application/json": {"schema": schema}}}
    if operation.links:
        response["links"] = {
            link.operation_id: {"operationId": link.operation_id, "parameters": dict(link.parameters)}
            for link in operation.links
        }
    if operation.is_once:
        response["headers"] = {
            REPLAYED: {
                "description": "Nothing was published now: this is the first answer.",
                "schema": {"const": "true"},
            }
        }
    return response


def _refusal(errors: list[type[ApiError]]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": "\n".join(f"- {error.code}: {message_of(error)}" for error in errors),
        "content": {
            "application/json": {
                "schema": {
                    "allOf": [{"$ref": _REF.format(name=ErrorAnswer.__name__)}],
                    "properties": {"code": {"enum": [error.code for error in errors]}},
                },
                "examples": {str(error.code): {"value": _example(error)} for error in errors},
            }
        },
    }
    if ServiceUnavailable in errors or TooManyRequests in errors:
        told["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return told


def message_of(error: type[ApiError]) -> str:
    """What callers are told where nothing more is known."""
    return " ".join((error.__doc__ or "").split())


def _example(error: type[ApiError]) -> dict[str, Any]:
    return {"code": error.code, "message": message_of(error), "errorData": {}}


def _schemas() -> dict[str, Any]:
    """Every struct of requests and answers, by name; where several make one body, under the first one's name."""
    bodies = [body for operation in OPERATIONS for body in operation.bodies]
    answers = [operation.answer for operation in OPERATIONS if operation.answer is not None]
    _, schemas = msgspec.json.schema_components([*bodies, *answers, ErrorAnswer], ref_template=_REF)
    for operation in OPERATIONS:
        _merge(schemas, [body.__name__ for body in operation.bodies])
    return schemas


def _merge(schemas: dict[str, Any], names: Iterable[str]) -> None:
    first, *others = [*names] or [""]
    for name in others:
        schemas[first]["properties"] |= schemas.pop(name)["properties"]
