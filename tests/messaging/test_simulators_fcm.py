"""The FCM simulator and Google's token endpoint judge as the real ones."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from messaging.simulators.accounts import demo_token
from tests.messaging.simulator_clients import Client, Response, running_simulators

TOKEN = demo_token("fcm", 1)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running_simulators(tmp_path_factory.mktemp("fcm")) as running:
        yield running


def details(answer: Response, kind: str) -> dict:
    """The entry of `error.details` of a type."""
    return next(item for item in answer.json()["error"]["details"] if item["@type"].endswith(kind))


def violated_fields(answer: Response) -> list[str]:
    return [item["field"] for item in details(answer, "BadRequest")["fieldViolations"]]


def test_a_message_with_an_issued_token_is_accepted_with_a_name(client: Client) -> None:
    answer = client.fcm_to(TOKEN)

    assert answer.status == 200
    assert answer.json()["name"].startswith("projects/clarion-demo/messages/0:")


def test_validate_only_answers_the_fake_message_id(client: Client) -> None:
    answer = client.send_fcm({"validate_only": True, "message": {"token": TOKEN}})

    assert answer.json() == {"name": "projects/clarion-demo/messages/fake_message_id"}


@pytest.mark.parametrize("authorization", [None, "Bearer ya29.made.up", "Basic abc"])
def test_a_token_google_did_not_issue_is_unauthenticated(client: Client, authorization: str | None) -> None:
    answer = client.send_fcm({"message": {"token": TOKEN}}, authorization=authorization)

    assert (answer.status, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert "www-authenticate" in answer.headers


def test_another_project_is_permission_denied(client: Client) -> None:
    answer = client.send_fcm({"message": {"token": TOKEN}}, project="someone-elses")

    assert (answer.status, answer.json()["error"]["status"]) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"message": {"token": TOKEN, "colour": "red"}}, "message"),
        ({"message": {"token": TOKEN}, "dry_run": True}, ""),
        ({"message": {"token": TOKEN, "data": {"badge": 3}}}, "message.data"),
        ({"message": {"token": TOKEN, "data": {"google.x": "3"}}}, "message.data"),
        ({"message": {"token": TOKEN, "android": {"ttl": "1h"}}}, "message.android.ttl"),
        ({"message": {"token": TOKEN, "android": {"ttl": 3600}}}, "message.android.ttl"),
        ({"message": {"token": TOKEN, "android": {"ttl": "2419201s"}}}, "message.android.ttl"),
        ({"message": {"token": TOKEN, "android": {"priority": "urgent"}}}, "message.android.priority"),
        ({"message": {"token": TOKEN, "notification": {"title": 7}}}, "message.notification.title"),
        ({"message": {"token": TOKEN, "topic": "news"}}, "message"),
        ({"message": {"data": {"a": "b"}}}, "message"),
        ({"message": {"token": "not a token"}}, "message.token"),
        ({"message": {"topic": "two words"}}, "message.topic"),
    ],
)
def test_a_wrong_field_is_invalid_argument_naming_it(client: Client, content: dict, field: str) -> None:
    answer = client.send_fcm(content)

    assert (answer.status, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert violated_fields(answer) == [field]


def test_every_documented_android_field_is_known(client: Client) -> None:
    notification = {"title": "t", "ticker": "k", "sound": "s", "tag": "g", "color": "#a1b2c3", "notification_count": 2}
    android = {"ttl": "3.5s", "priority": "high", "collapse_key": "c", "notification": notification}

    answer = client.send_fcm({"message": {"token": TOKEN, "android": android, "fcmOptions": {"analyticsLabel": "x"}}})

    assert answer.status == 200


def test_4096_bytes_are_accepted_and_one_more_is_too_big(client: Client) -> None:
    largest = client.send_fcm({"message": {"token": TOKEN, "data": {"k": "é" * 2047 + "x"}}})
    larger = client.send_fcm({"message": {"token": TOKEN, "data": {"k": "é" * 2047 + "xy"}}})

    assert (largest.status, larger.status) == (200, 400)
    assert details(larger, "FcmError")["errorCode"] == "INVALID_ARGUMENT"
    assert "too big" in larger.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff"])
def test_a_body_that_is_no_json_object_is_invalid_argument(client: Client, body: bytes) -> None:
    assert client.send_fcm(body).json()["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("behaviour", "status", "error_code"),
    [
        ("dead", 404, "UNREGISTERED"),
        ("mismatch", 403, "SENDER_ID_MISMATCH"),
        ("thirdparty", 401, "THIRD_PARTY_AUTH_ERROR"),
        ("429-20", 429, "QUOTA_EXCEEDED"),
        ("500", 500, "INTERNAL"),
        ("503", 503, "UNAVAILABLE"),
    ],
)
def test_a_behaviour_in_the_token_answers_googles_error(
    client: Client, behaviour: str, status: int, error_code: str
) -> None:
    answer = client.fcm_to(demo_token("fcm", 2, behaviour))

    assert (answer.status, details(answer, "FcmError")["errorCode"]) == (status, error_code)


def test_a_bad_token_is_told_by_its_field(client: Client) -> None:
    answer = client.fcm_to(demo_token("fcm", 2, "bad"))

    assert violated_fields(answer) == ["message.token"]


def test_the_token_endpoint_issues_a_bearer_token_for_an_hour(client: Client) -> None:
    answer = client.google_token()

    assert answer.status == 200
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 3600)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"iss": "somebody@else.example"}, "invalid_grant"),
        ({"aud": "https://example.org/token"}, "invalid_grant"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
        ({"exp": int(time.time()) - 4000, "iat": int(time.time()) - 7000}, "invalid_grant"),
        ({"exp": int(time.time()) + 7300}, "invalid_grant"),
        ({"iat": None}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_a_wrong_assertion_gets_no_token(client: Client, changes: dict, error: str) -> None:
    answer = client.google_token(**changes)

    assert (answer.status, answer.json()["error"]) == (400, error)


def test_an_assertion_by_another_key_is_an_invalid_signature(client: Client) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    answer = client.google_token(key=pem)

    assert answer.json() == {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
