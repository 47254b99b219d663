"""The APNs simulator judges by Apple's rules."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from messaging.simulators.accounts import demo_token
from tests.messaging.simulator_clients import Client, running_simulators

TOKEN = demo_token("apns", 1)
APNS_ID = "1e8f08f0-3aa9-4c20-bb14-ed77dc3ef5dc"
SILENT = {"aps": {"content-available": 1}}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running_simulators(tmp_path_factory.mktemp("apns")) as running:
        yield running


def test_a_notification_is_accepted_and_its_apns_id_echoed(client: Client) -> None:
    answer = client.send_apns(TOKEN, apns_id=APNS_ID)

    assert (answer.status, answer.body, answer.headers["apns-id"]) == (200, b"", APNS_ID)


def test_an_apns_id_is_made_where_none_was_sent(client: Client) -> None:
    assert len(client.send_apns(TOKEN).headers["apns-id"]) == 36


def test_a_refusal_echoes_the_apns_id_too(client: Client) -> None:
    answer = client.send_apns(demo_token("apns", 1, "dead"), apns_id=APNS_ID)

    assert (answer.status, answer.headers["apns-id"]) == (410, APNS_ID)


def test_background_pushes_go_with_priority_5(client: Client) -> None:
    answer = client.send_apns(TOKEN, SILENT, apns_push_type="background", apns_priority="5")

    assert answer.status == 200


@pytest.mark.parametrize(
    ("headers", "payload", "status", "reason"),
    [
        ({"authorization": None}, None, 403, "MissingProviderToken"),
        ({"authorization": "bearer abc"}, None, 403, "InvalidProviderToken"),
        ({"apns_topic": None}, None, 400, "MissingTopic"),
        ({"apns_topic": "not a topic"}, None, 400, "BadTopic"),
        ({"apns_topic": "com.example.other"}, None, 400, "TopicDisallowed"),
        ({"apns_id": "12"}, None, 400, "BadMessageId"),
        ({"apns_expiration": "soon"}, None, 400, "BadExpirationDate"),
        ({"apns_priority": "7"}, None, 400, "BadPriority"),
        ({"apns_collapse_id": "x" * 65}, None, 400, "BadCollapseId"),
        ({"apns_push_type": "shout"}, None, 400, "InvalidPushType"),
        ({"apns_push_type": "alert"}, SILENT, 400, "InvalidPushType"),
        ({"apns_push_type": "background"}, SILENT, 400, "BadPriority"),
        ({"apns_push_type": "background", "apns_priority": "5"}, None, 400, "InvalidPushType"),
        ({}, b"", 400, "PayloadEmpty"),
        ({}, b"{", 400, "PayloadEmpty"),
        ({}, {"message": "no aps"}, 400, "PayloadEmpty"),
        ({}, {"aps": {"alert": "x" * 4078}}, 413, "PayloadTooLarge"),
    ],
)
def test_a_wrong_request_is_refused_with_apples_reason(
    client: Client, headers: dict, payload: object, status: int, reason: str
) -> None:
    answer = client.send_apns(TOKEN, payload, **headers)

    assert (answer.status, answer.json()["reason"]) == (status, reason)


def test_a_payload_of_4096_bytes_is_accepted(client: Client) -> None:
    payload = b'{"aps":{"alert":"' + b"x" * (4096 - 20) + b'"}}'

    assert len(payload) == 4096
    assert client.send_apns(TOKEN, payload).status == 200


@pytest.mark.parametrize("token", ["abc", "zz" * 32, "ab" * 31])
def test_a_token_that_is_none_is_a_bad_device_token(client: Client, token: str) -> None:
    assert client.send_apns(token).json()["reason"] == "BadDeviceToken"


def test_another_path_is_bad_path_and_another_method_is_not_allowed(client: Client) -> None:
    elsewhere = client.post(client.urls["apns"] + "/4/device/" + TOKEN, client.apns_headers(), b"{}")
    put = client.request("PUT", client.urls["apns"] + "/3/device/" + TOKEN, client.apns_headers())

    assert (elsewhere.status, elsewhere.json()["reason"]) == (404, "BadPath")
    assert (put.status, put.json()["reason"]) == (405, "MethodNotAllowed")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kid": "OTHERKEY01"}, "InvalidProviderToken"),
        ({"iss": "OTHERTEAM1"}, "InvalidProviderToken"),
        ({"iat": int(time.time()) + 7200}, "InvalidProviderToken"),
        ({"iat": "now"}, "InvalidProviderToken"),
        ({"iat": int(time.time()) - 7200}, "ExpiredProviderToken"),
    ],
)
def test_a_provider_token_of_the_wrong_making_is_refused(client: Client, changes: dict, reason: str) -> None:
    answer = client.send_apns(TOKEN, authorization=f"bearer {client.provider_token(**changes)}")

    assert (answer.status, answer.json()["reason"]) == (403, reason)


def test_a_provider_token_by_another_key_is_invalid(client: Client) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    answer = client.send_apns(TOKEN, authorization=f"bearer {client.provider_token(key=pem)}")

    assert answer.json()["reason"] == "InvalidProviderToken"


def test_a_dead_token_says_in_milliseconds_since_when(client: Client) -> None:
    answer = client.send_apns(demo_token("apns", 1, "dead-2"))

    assert answer.json()["reason"] == "Unregistered"
    assert answer.json()["timestamp"] == pytest.approx((time.time() - 7200) * 1000, abs=60_000)


def test_an_untimed_410_has_no_timestamp(client: Client) -> None:
    assert client.send_apns(demo_token("apns", 1, "untimed")).json() == {"reason": "Unregistered"}


def test_provider_tokens_that_change_too_often_are_429_where_the_mode_says_so(client: Client) -> None:
    client.simulators.set_mode("apns_sandbox", token_update_s=1200)
    url, now = f"{client.urls['apns_sandbox']}/3/device/{TOKEN}", int(time.time())
    tokens = [client.provider_token(iat=now - age) for age in (9, 5)]
    answers = [
        client.post(url, client.apns_headers(authorization=f"bearer {token}"), b'{"aps":{"alert":"x"}}')
        for token in tokens
    ]
    client.simulators.reset()

    assert [answer.status for answer in answers] == [200, 429]
    assert answers[1].json()["reason"] == "TooManyProviderTokenUpdates"
