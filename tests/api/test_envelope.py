"""What every call goes through: keys, bodies, methods, addresses, CORS, and errors in JSON (reliability.md 4E)."""

from __future__ import annotations

import json
import logging

import pytest
from django.db import close_old_connections, connection
from django.test import Client

from devices.models import DeviceRegistration
from messaging.models import Message
from tests.api.conftest import Api
from tests.factories import make_account

PUBLISH = "/messaging/default"
REGISTER = "/messaging/registrations"
DEVICE = {"deviceToken": "tok", "deviceId": "DEV-1", "os": "ANDROID", "osVersion": "14"}
WRONG_INFO = {
    "code": 2002,
    "message": "Version is disabled or provided wrong application info (application id or secret key)",
    "errorData": {},
}


@pytest.mark.parametrize(
    "raw",
    [
        " ",
        "{",
        "[]",
        "null",
        '"text"',
        "1",
        '{"message":1} trailing',
        "\ufeff{}",
        '{"message":1}'.encode("utf-16"),
        b'{"message":"\xff"}',
        b'{"message":"\xed\xa0\x80"}',
        '{"message":NaN}',
        '{"message":-Infinity}',
        '{"message":1e400}',
        '{"message":123456789012345678901234567890}',
        '{"message":9223372036854775808}',
        r'{"message":"\u0000"}',
        r'{"\u0000":1}',
        r'{"message":{"a":["\u0000"]}}',
        r'{"message":"\ud800"}',
        r'{"message":"\udc00\ud800 "}',
        '{"message":' + "[" * 32 + "]" * 32 + "}",
        '{"message":' + "[" * 100_000,
        "{'message':1}",
    ],
)
def test_a_body_that_is_no_storable_json_object_is_error_5900(api: Api, raw: str | bytes) -> None:
    status, answer = api.post(PUBLISH, raw)

    assert (status, answer["code"]) == (400, 5900)
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (r'{"message":"\ud800"}', "it holds half of a surrogate pair"),
        (r'{"message":"\udc00\ud800 "}', "it holds half of a surrogate pair"),
        (r'{"message":"\uD83D\uDE00\\\uDE00"}', "it holds half of a surrogate pair"),
        (r'{"message":"\\ud800"', "Input data was truncated"),
        (r'{"message":"\ud83d\ude00"', "Input data was truncated"),
        ("{'message':1}", "object keys must be strings (byte 1)"),
        (b'{"message":"\xff"}', "it is not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_body_is_said_truly(api: Api, raw: str | bytes, reason: str) -> None:
    assert api.post(PUBLISH, raw)[1]["message"] == f"The body is not valid JSON: {reason}."


@pytest.mark.parametrize(
    "raw",
    [
        '{"message":' + "[" * 31 + "]" * 31 + "}",
        '{"message":9223372036854775807}',
        '{"message":-9223372036854775808}',
        r'{"message":"\\u0000"}',
        r'{"message":"😀"}',
        '{"message":1,"message":2}',
    ],
)
def test_a_body_at_the_limits_is_taken(api: Api, raw: str) -> None:
    assert api.post(PUBLISH, raw)[0] == 200


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ('Application/JSON;charset="UTF-8"', 200),
        ("application/json; charset=utf-16", 415),
        ("application/x-www-form-urlencoded", 415),
        ("text/plain", 415),
        ("application/json-patch+json", 415),
        ("", 415),
    ],
)
def test_the_content_type_must_be_json(api: Api, content_type: str, status: int) -> None:
    response = api.client.generic("POST", f"{api.account.prefix}{PUBLISH}", '{"message":"x"}', content_type)

    assert response.status_code == status
    if status == 415:
        assert response.json()["code"] == 5902


@pytest.mark.parametrize(
    ("path", "body", "size"),
    [
        (REGISTER, dict(DEVICE), 64 * 1024),
        (PUBLISH, {}, 256 * 1024),
        (PUBLISH, {"pushSinglecast": ["d1"]}, 10 * 1024 * 1024),
    ],
)
def test_a_body_one_byte_over_its_limit_is_error_413(api: Api, path: str, body: dict[str, object], size: int) -> None:
    raw = json.dumps(body)
    exact = raw + " " * (size - len(raw))

    assert api.post(path, exact)[0] == 200
    status, answer = api.post(path, exact + " ")
    assert (status, answer["code"]) == (413, 5903)


def test_wrong_application_and_wrong_key_get_the_same_answer(api: Api) -> None:
    application_id = api.account.application.application_id
    others_key = make_account().key
    for prefix in (
        f"/{application_id}/{others_key}",
        f"/{application_id}/00000000-0000-0000-0000-000000000000",
        f"/00000000-0000-0000-0000-000000000000/{api.account.key}",
        "/XXXX-XXXX-XXXX/ZZZZ-ZZZZZ-ZZZZZ",
        f"/{application_id}/é\ud7ff%00",
    ):
        for path in (PUBLISH, REGISTER):
            response = api.client.post(prefix + path, {"message": "x"}, content_type="application/json")
            assert (response.status_code, response.json()) == (401, WRONG_INFO)


def test_the_application_id_is_taken_in_any_letter_case(api: Api) -> None:
    for spelling in (str.upper, str.lower):
        prefix = f"/{spelling(str(api.account.application.application_id))}/{api.account.key}"
        response = api.client.post(f"{prefix}{PUBLISH}", {"message": "x"}, content_type="application/json")
        assert response.status_code == 200


def test_a_session_cookie_opens_nothing(api: Api, admin_client: Client) -> None:
    application_id = api.account.application.application_id

    response = admin_client.post(f"/{application_id}/none/messaging/default", {}, content_type="application/json")

    assert (response.status_code, response.json()) == (401, WRONG_INFO)


def test_no_csrf_token_is_asked_for_and_no_cookie_is_set(api: Api) -> None:
    strict = Client(enforce_csrf_checks=True)

    response = strict.post(f"{api.account.prefix}{PUBLISH}", {"message": "x"}, content_type="application/json")

    assert response.status_code == 200
    assert not response.cookies


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", REGISTER, "OPTIONS, POST"),
        ("POST", f"{REGISTER}/DEV-1", "DELETE, GET, HEAD, OPTIONS"),
        ("PUT", PUBLISH, "DELETE, GET, HEAD, OPTIONS, POST"),
        ("PATCH", PUBLISH, "DELETE, GET, HEAD, OPTIONS, POST"),
        ("TRACE", PUBLISH, "DELETE, GET, HEAD, OPTIONS, POST"),
        ("BREW", PUBLISH, "DELETE, GET, HEAD, OPTIONS, POST"),
    ],
)
def test_a_method_the_address_does_not_take_is_405_with_allow(api: Api, method: str, path: str, allowed: str) -> None:
    response = api.client.generic(method, f"{api.account.prefix}{path}")

    assert (response.status_code, response.json()["code"]) == (405, 5905)
    assert response.headers["Allow"] == allowed


@pytest.mark.parametrize(
    "path",
    ["/", "/nothing", "/messaging", "/messaging/", "/messaging/default/", "//messaging/default", "/messaging/a/b/c"],
)
def test_an_unknown_address_is_404_in_json_and_never_a_redirect(api: Api, path: str) -> None:
    for method in ("GET", "POST"):
        status, answer = api.call(method, path)
        assert (status, answer["code"]) == (404, 5904)


@pytest.mark.parametrize(
    "path",
    [
        "/{bare}/{key}/messaging/default",
        "/{bare}/{key}/info",
        "/{bare}/{bare_key}/rt/lookup",
        "/nohyphens/{key}/users/login",
        "/v1/messaging/default",
        "/{id}/{key}",
        "/{id}/",
        "/{id}",
        "/{bare}",
        "/api",
        "/api/",
        "/api/nothing",
    ],
)
def test_an_address_that_looks_like_one_of_the_api_is_404_in_json(api: Api, path: str) -> None:
    application_id, key = str(api.account.application.application_id), api.account.key
    ids = {"id": application_id, "bare": application_id.replace("-", "")}

    response = api.client.get(path.format(**ids, key=key, bare_key=key.replace("-", "")))

    assert (response.status_code, response.headers["Content-Type"]) == (404, "application/json")
    assert response.json()["code"] == 5904


def test_an_address_of_a_page_that_is_not_there_is_404_in_html(api: Api) -> None:
    assert api.client.get("/nothing").headers["Content-Type"].startswith("text/html")


def test_a_name_may_look_like_an_escape(api: Api) -> None:
    assert api.post("/messaging/%25FF", {"message": "h"})[0] == 200
    assert Message.objects.get().channel_name == "%FF"


def test_dots_in_an_address_climb_nowhere(api: Api) -> None:
    response = api.client.get(f"{api.account.prefix}/messaging/%2e%2e/%2e%2e/admin/")

    assert (response.status_code, response.json()["code"]) == (404, 5904)


def test_head_answers_like_get_without_a_body(api: Api) -> None:
    api.post(REGISTER, DEVICE)

    response = api.client.head(f"{api.account.prefix}{REGISTER}/DEV-1")

    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("path", [REGISTER, f"{REGISTER}/DEV-1", PUBLISH, "/messaging/message:1", "/messaging/no/such"])
def test_a_preflight_allows_what_the_sdk_sends(api: Api, path: str) -> None:
    response = api.client.options(
        f"{api.account.prefix}{path}",
        headers={
            "origin": "https://app.example.org",
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,user-token",
        },
    )

    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert response.headers["Access-Control-Allow-Headers"] == "content-type, user-token, idempotency-key"


def test_errors_carry_cors_headers_too(api: Api) -> None:
    response = api.client.post("/A-B/C/messaging/default", {}, content_type="application/json")

    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.fixture
def broken_schema() -> None:
    """The table of registrations is missing: an error nobody foresaw."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE devices_deviceregistration RENAME TO elsewhere")


def test_a_fault_of_ours_is_500_in_json_and_its_log_line_holds_no_secret(
    api: Api, broken_schema: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="devices"):
        status, answer = api.post(REGISTER, DEVICE | {"deviceToken": "s3cr3t-token"})

    assert (status, answer["code"]) == (500, 5907)
    assert "ProgrammingError in POST" in caplog.text
    assert "s3cr3t-token" not in caplog.text
    assert api.account.key not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_lost_database_is_503_with_retry_after_and_heals(caplog: pytest.LogCaptureFixture) -> None:
    api = Api(make_account(), Client())
    api.get("/messaging/BAD")
    connection.connection.close()

    response = api.client.get(f"{api.account.prefix}{REGISTER}/DEV-1")

    assert (response.status_code, response.json()["code"]) == (503, 5908)
    assert response.headers["Retry-After"] == "2"
    close_old_connections()  # as the web server does before each request
    assert api.get(f"{REGISTER}/DEV-1")[1]["code"] == 5000


def test_every_column_the_caller_fills_takes_the_longest_text_allowed(api: Api) -> None:
    longest = {"deviceId": "\U0001f600" * 255, "osVersion": "\U0001f600" * 64, "channels": ["\U0001f600" * 128]}

    assert api.post(REGISTER, DEVICE | longest)[0] == 200
    assert DeviceRegistration.objects.get().device_id == longest["deviceId"]


@pytest.mark.parametrize("path", ["/messaging/a%00b", "/messaging/registrations/a%00b", "/messaging/push/a%00b"])
def test_a_nul_in_the_address_is_nothing_to_be_found(api: Api, path: str) -> None:
    status, answer = api.post(path, {"message": "h"}) if "registrations" not in path else api.get(path)

    assert (status, answer["code"]) == (404, 5904)
