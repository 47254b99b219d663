"""The document says what the server does: every address and method, nothing else, and all limits and codes."""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.test import Client
from django.urls import URLPattern, URLResolver

from console.pages_api_docs import CLIENT_CALLS
from console.urls import rest
from messaging.api.shapes import MAX_HEADERS, MAX_SINGLECAST
from messaging.client import Messaging
from tests.api.conftest import Api

#: stands for any part of an address
ANY = "{}"
EXAMPLES = {"os": "IOS", "name": "default", "channel": "news"}


@pytest.fixture
def document(client: Client, db: None) -> Any:
    """As anybody gets it."""
    response = client.get("/api/openapi.json")
    assert response.status_code == 200
    return response.json()


def routes(patterns: list[URLPattern | URLResolver], above: str = "/") -> Iterator[str]:
    """Every address below the prefix, captured parts as `{}`."""
    for pattern in patterns:
        address = above + re.sub(r"<[^>]+>", ANY, str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, address)
        else:
            yield address


def test_it_is_openapi_3_1(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(document).validate()


def test_every_address_stands_in_it(document: Any, api: Api) -> None:
    def is_served(address: str) -> bool:
        answer = api.client.options(api.account.prefix + address.replace(ANY, "any"))
        return answer.headers["Allow"] != "OPTIONS"

    served = {address for address in routes(rest) if is_served(address)}

    assert {re.sub(r"\{\w+\}", ANY, path) for path in document["paths"]} == served


def test_methods_are_those_the_server_takes(document: Any, api: Api) -> None:
    for path, operations in document["paths"].items():
        address = re.sub(r"\{(\w+)\}", lambda match: EXAMPLES.get(match[1], "any"), path)
        allowed = set(api.client.options(api.account.prefix + address).headers["Allow"].lower().split(", "))

        assert allowed - {"head", "options"} == set(operations), path


def test_both_forms_of_the_prefix_are_named(document: Any) -> None:
    assert [server["url"].removeprefix("http://localhost:8000") for server in document["servers"]] == [
        "/{applicationId}/{apiKey}",
        "https://{host}/api",
    ]


def test_limits_are_those_of_the_parser(document: Any) -> None:
    publish = document["components"]["schemas"]["PublishBody"]["properties"]

    assert publish["pushSinglecast"]["maxItems"] == MAX_SINGLECAST
    assert publish["headers"]["maxProperties"] == MAX_HEADERS


def test_refusals_of_publish_name_the_vendors_codes(document: Any) -> None:
    responses = document["paths"]["/messaging/{name}"]["post"]["responses"]
    codes = {
        int(code)
        for response in responses.values()
        for code in response["content"]["application/json"].get("examples", {})
    }

    assert {2002, 3064, 5003, 5007, 5030, 8000} <= codes


def test_every_call_says_that_it_may_be_one_too_many_and_how_long_to_wait(document: Any) -> None:
    calls = [operation["responses"] for path in document["paths"].values() for operation in path.values()]

    assert all("5906" in call["429"]["content"]["application/json"]["examples"] for call in calls)
    assert all("Retry-After" in call[status]["headers"] for call in calls for status in ("429", "503"))


def test_every_call_with_a_body_says_that_it_may_come_too_late(document: Any) -> None:
    calls = [operation for path in document["paths"].values() for operation in path.values()]

    assert {"requestBody" in call for call in calls} == {True, False}
    assert all(("408" in call["responses"]) == ("requestBody" in call) for call in calls)


def test_every_reference_leads_somewhere(document: Any) -> None:
    names = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))

    assert names
    assert set(names) == set(document["components"]["schemas"])


def test_every_link_leads_to_an_operation_and_fills_its_parameters(document: Any) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    parameters = {
        operation["operationId"]: {parameter["name"] for parameter in operation.get("parameters", ())}
        for operation in operations
    }
    answers = [operation["responses"].get("200", {}) for operation in operations]
    links = [link for answer in answers for link in answer.get("links", {}).values()]

    assert len(links) == 9
    assert all(set(link["parameters"]) == parameters[link["operationId"]] for link in links)


def test_every_operation_has_an_id_of_its_own(document: Any) -> None:
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]

    assert len(ids) == len(set(ids))


def test_the_page_shows_every_call_in_three_languages(document: Any, client: Client) -> None:
    response = client.get("/api/docs")
    page = response.content.decode()

    calls = [operation for path in document["paths"].values() for operation in path.values()]
    assert page.count("<summary>curl</summary>") == page.count("<summary>Python</summary>") == len(calls)
    assert page.count("<summary>JavaScript</summary>") == len(calls)
    assert all(operation["summary"] in page for operation in calls)
    assert all(code in page for code in ("5003", "5007", "5030", "8000"))


def test_the_page_shows_code_as_code(client: Client, db: None) -> None:
    page = client.get("/api/docs").content.decode()

    assert "<code>android-*</code>" in page
    assert "`android" not in page


def test_the_page_needs_no_other_host(client: Client, db: None) -> None:
    response = client.get("/api/docs")

    assert "script-src 'self'" in response.headers["Content-Security-Policy"]
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', response.content.decode())
    assert not re.findall(r"<script(?![^>]*src=)|\sstyle=|\son\w+=", response.content.decode())


@pytest.mark.parametrize("call", CLIENT_CALLS.values())
def test_calls_shown_for_the_python_client_exist(call: str) -> None:
    compiled = ast.parse(call).body[0]

    assert isinstance(compiled, ast.Expr)
    assert isinstance(compiled.value, ast.Call)
    assert isinstance(compiled.value.func, ast.Attribute)
    assert callable(getattr(Messaging, compiled.value.func.attr))


def _shown_code(page: str, label: str) -> list[str]:
    """The text of the page's blocks with such labels."""
    return [html.unescape(text) for text in re.findall(rf'aria-label="{label}">(.*?)</pre>', page, re.DOTALL)]


def test_the_python_of_the_page_has_every_name_it_uses(client: Client, db: None) -> None:
    page = client.get("/api/docs").content.decode()
    (first,) = _shown_code(page, "The Python client")
    calls = _shown_code(page, '[^"]*, Python')

    known = _names(first, ast.Store) | {
        name.name.partition(".")[0]
        for line in ast.walk(ast.parse(first))
        if isinstance(line, ast.Import | ast.ImportFrom)
        for name in line.names
    }
    for call in calls:
        assert _names(call, ast.Load) <= known | _names(call, ast.Store)


def _names(code: str, use: type[ast.expr_context]) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name) and isinstance(node.ctx, use)}


def test_what_is_shown_of_deleting_a_channel_would_be_done(client: Client, db: None) -> None:
    page = client.get("/api/docs").content.decode()

    assert "/messaging/channels/news" in page
    assert "/messaging/channels/default" not in page


def test_logging_out_is_shown_with_the_token_it_takes(client: Client, db: None) -> None:
    shown = _shown_code(client.get("/api/docs").content.decode(), 'Log out, [^"]*')

    assert len(shown) == 3
    assert all("user-token" in call for call in shown)
