"""The Web Push simulator judges RFC 8030, 8291 and 8292; messages are encrypted by pywebpush."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from py_vapid import Vapid

from messaging.simulators.signed_tokens import to_base64url
from tests.messaging.simulator_clients import Client, running_simulators


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running_simulators(tmp_path_factory.mktemp("webpush")) as running:
        yield running


def test_a_pywebpush_message_is_created_and_its_plaintext_logged(client: Client) -> None:
    answer = client.send_webpush(client.subscription(1), '{"title":"Grüße"}'.encode())

    assert answer.status == 201
    assert answer.headers["location"].startswith(client.urls["webpush"] + "/m/")
    assert client.simulators.requests()[-1]["notification"] == {"title": "Grüße"}


def test_plain_text_is_logged_as_text(client: Client) -> None:
    client.send_webpush(client.subscription(1), b"just words")

    assert client.simulators.requests()[-1]["notification"] == {"text": "just words"}


def test_the_largest_plaintext_of_rfc_8291_is_created(client: Client) -> None:
    assert client.send_webpush(client.subscription(1), b"x" * 3993).status == 201


def test_a_body_over_4096_bytes_is_too_large(client: Client) -> None:
    assert client.send_webpush(client.subscription(1), b"x" * 3994).status == 413


def test_a_message_without_content_needs_no_encryption(client: Client) -> None:
    assert client.send_webpush_body(client.subscription(1), b"", content_encoding=None).status == 201


def test_a_body_for_another_subscription_cannot_be_decrypted(client: Client) -> None:
    mixed = {**client.subscription(1), "keys": client.subscription(2)["keys"]}

    answer = client.send_webpush(mixed)

    assert (answer.status, answer.json()["errno"]) == (400, 110)


def test_the_wrong_auth_secret_cannot_be_decrypted(client: Client) -> None:
    subscription = client.subscription(1)
    keys = {**subscription["keys"], "auth": to_base64url(b"0" * 16)}

    assert client.send_webpush({**subscription, "keys": keys}).status == 400


@pytest.mark.parametrize("body", [b"x", b"x" * 200, bytes(20) + b"\x41" + bytes(200)])
def test_a_body_that_is_no_aes128gcm_record_is_refused(client: Client, body: bytes) -> None:
    assert client.send_webpush_body(client.subscription(1), body).status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"ttl": None}, 400),
        ({"ttl": "-1"}, 400),
        ({"ttl": "2592001"}, 400),
        ({"urgency": "panic"}, 400),
        ({"topic": "a topic with spaces"}, 400),
        ({"topic": "x" * 33}, 400),
        ({"content_encoding": "aesgcm"}, 400),
        ({"authorization": None}, 401),
        ({"authorization": "Bearer abc"}, 401),
        ({"authorization": "vapid t=a.b.c, k=AAAA"}, 403),
    ],
)
def test_a_wrong_header_is_refused(client: Client, headers: dict, status: int) -> None:
    assert client.send_webpush(client.subscription(1), **headers).status == status


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://updates.push.services.mozilla.com"},
        {"exp": int(time.time()) + 40 * 3600},
        {"exp": int(time.time()) - 5},
    ],
)
def test_a_vapid_token_for_elsewhere_or_another_time_is_forbidden(client: Client, claims: dict) -> None:
    assert client.send_webpush(client.subscription(1), authorization=client.vapid(**claims)).status == 403


def test_a_vapid_key_the_subscription_is_not_bound_to_is_forbidden(client: Client) -> None:
    other = Vapid()
    other.generate_keys()
    key = to_base64url(other.private_key.private_numbers().private_value.to_bytes(32, "big"))

    answer = client.send_webpush(client.subscription(1), authorization=client.vapid(key=key))

    assert (answer.status, answer.json()["message"]) == (403, "VAPID public key mismatch")


def test_a_signature_by_another_key_than_k_is_forbidden(client: Client) -> None:
    token, _, key = client.vapid().partition(",k=")
    forged = token[:-8] + "AAAAAAAA"

    assert client.send_webpush(client.subscription(1), authorization=f"{forged},k={key}").status == 403


@pytest.mark.parametrize(("behaviour", "status"), [("dead", 410), ("404", 404), ("429-3", 429), ("413", 413)])
def test_a_behaviour_in_the_endpoint_answers_as_autopush(client: Client, behaviour: str, status: int) -> None:
    answer = client.send_webpush(client.subscription(3, behaviour))

    assert (answer.status, answer.json()["code"]) == (status, status)
