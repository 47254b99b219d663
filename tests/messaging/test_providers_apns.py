from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from time import time
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256

from messaging.providers.apns import ApnsProvider, header_lines, parse_answer
from messaging.providers.base import (
    Envelope,
    HttpAnswer,
    InvalidTarget,
    OutcomeKind,
    PayloadTooLarge,
    Target,
    TransportFailure,
)
from messaging.providers.credentials import AccessToken, ApnsCredential, MemoryTokenStore, token_kind
from messaging.providers.notifications import IosNotification
from tests.messaging.provider_parts import (
    ENVELOPE,
    MESSAGE_ID,
    NoTransport,
    answer,
    apns_json,
    der_signature,
    ec_key,
    header_map,
    jwt_parts,
)

HEX = "ab" * 32


def make_provider(store: MemoryTokenStore | None = None) -> ApnsProvider:
    return ApnsProvider(
        ApnsCredential.from_json(apns_json()),
        NoTransport(),
        store or MemoryTokenStore(),
        base_url="https://api.push.apple.com",
    )


def store_with_token_of_age(age: timedelta) -> MemoryTokenStore:
    store = MemoryTokenStore()
    issued_at = datetime.now(UTC) - age
    old = AccessToken("old", issued_at, issued_at + timedelta(hours=1))
    store.renew(token_kind("apns", "TEAM567890", "KEY4567890"), lambda _stored: old)
    return store


def test_request_is_what_apple_documents() -> None:
    provider = make_provider()
    provider.authorize()
    notification = IosNotification(title="Title", subtitle="Sub", body="Bødy", badge=0, sound="default", thread_id="t")

    request = provider.prepare(notification, ENVELOPE).request(3, Target(9, HEX))

    assert request.url == f"https://api.push.apple.com/3/device/{HEX}"
    assert json.loads(request.body) == {
        "aps": {
            "alert": {"title": "Title", "subtitle": "Sub", "body": "Bødy"},
            "badge": 0,
            "sound": "default",
            "thread-id": "t",
        }
    }
    headers = header_map(request)
    assert headers["apns-topic"] == "com.example.app"
    assert (headers["apns-push-type"], headers["apns-priority"]) == ("alert", "10")
    assert headers["apns-collapse-id"] == MESSAGE_ID
    assert abs(int(headers["apns-expiration"]) - time() - 3600) < 5
    assert headers["authorization"].startswith("bearer ")


def test_custom_keys_stand_beside_aps() -> None:
    notification = IosNotification(body="Hi", mutable_content=True, custom={"city": "Oslo"})

    payload = json.loads(make_provider().prepare(notification, ENVELOPE).payload)

    assert payload == {"aps": {"alert": {"body": "Hi"}, "mutable-content": 1}, "city": "Oslo"}


def test_background_notification_has_priority_5() -> None:
    lines = header_lines(IosNotification(content_available=True), ENVELOPE, "t")

    assert {"apns-push-type: background", "apns-priority: 5"} <= set(lines)


@pytest.mark.parametrize(
    "visible", [IosNotification(content_available=True, body="x"), IosNotification(content_available=True, badge=0)]
)
def test_content_available_with_something_to_show_is_an_alert(visible: IosNotification) -> None:
    assert {"apns-push-type: alert", "apns-priority: 10"} <= set(header_lines(visible, ENVELOPE, "t"))


def test_no_life_left_means_one_attempt() -> None:
    envelope = Envelope(message_id=MESSAGE_ID, occurrence_id=1, ttl_s=0)

    assert "apns-expiration: 0" in header_lines(IosNotification(body="x"), envelope, "t")


def test_collapse_id_of_a_long_message_id_fits() -> None:
    envelope = Envelope(message_id="message:" + "x" * 100, occurrence_id=1)

    lines = header_lines(IosNotification(body="x"), envelope, "t")

    collapse_id = next(line for line in lines if line.startswith("apns-collapse-id: ")).partition(": ")[2]
    assert 0 < len(collapse_id) <= 64


def test_apns_id_is_the_same_uuid_for_the_same_delivery() -> None:
    def apns_id(occurrence_id: int, registration_id: int) -> str:
        envelope = Envelope(message_id=MESSAGE_ID, occurrence_id=occurrence_id)
        prepared = make_provider().prepare(IosNotification(body="x"), envelope)
        return header_map(prepared.request(1, Target(registration_id, HEX)))["apns-id"]

    assert apns_id(1, 2) == apns_id(1, 2) == str(UUID(apns_id(1, 2)))
    assert len({apns_id(1, 2), apns_id(2, 1), apns_id(1, 12), apns_id(11, 2)}) == 4


@pytest.mark.parametrize("token", ["", "abc", "../../x", HEX + "/", HEX + "\r\nx", "g" * 64])
def test_token_that_is_not_hex_is_an_invalid_target(token: str) -> None:
    prepared = make_provider().prepare(IosNotification(body="x"), ENVELOPE)

    with pytest.raises(InvalidTarget):
        prepared.request(1, Target(1, token))


def test_limit_counts_the_bytes_of_the_json() -> None:
    provider = make_provider()
    overhead = len(b'{"aps":{"alert":{"body":""}}}')
    fitting = "é" * ((4096 - overhead) // 2) + "x" * ((4096 - overhead) % 2)

    assert len(provider.prepare(IosNotification(body=fitting), ENVELOPE).payload) == 4096
    with pytest.raises(PayloadTooLarge):
        provider.prepare(IosNotification(body=fitting + "x"), ENVELOPE)


def test_provider_token_is_signed_as_apple_asks() -> None:
    provider = make_provider()
    provider.authorize()

    header, claims, signature, signed = jwt_parts(provider.auth_lines[0].removeprefix("authorization: bearer "))

    assert (header["alg"], header["kid"]) == ("ES256", "KEY4567890")
    assert claims["iss"] == "TEAM567890"
    assert abs(claims["iat"] - time()) < 5
    ec_key().public_key().verify(der_signature(signature), signed, ECDSA(SHA256()))


@pytest.mark.parametrize(
    ("minutes", "refused", "is_kept"),
    [(1, False, True), (44, False, True), (46, False, False), (1, True, True), (19, True, True), (21, True, False)],
)
def test_provider_token_is_reissued_by_the_rules(minutes: int, refused: bool, is_kept: bool) -> None:
    provider = make_provider(store_with_token_of_age(timedelta(minutes=minutes)))

    provider.authorize(refused=refused)

    assert (provider.auth_lines == ("authorization: bearer old",)) is is_kept


def test_processes_share_one_provider_token() -> None:
    store = MemoryTokenStore()
    first, second = make_provider(store), make_provider(store)

    first.authorize()
    second.authorize()

    assert first.auth_lines == second.auth_lines


def test_renewed_token_is_used_by_prepared_notifications() -> None:
    provider = make_provider()
    prepared = provider.prepare(IosNotification(body="x"), ENVELOPE)
    provider.authorize()

    assert prepared.request(1, Target(1, HEX)).headers[0] == provider.auth_lines[0]


PAUSING = ["InvalidProviderToken", "MissingProviderToken", "BadEnvironmentKeyIdInToken", "BadEnvironmentKeyInToken"]
PAUSING += ["BadCertificate", "BadCertificateEnvironment", "Forbidden", "SomethingNew"]
OUR_BUGS = ["BadCollapseId", "BadExpirationDate", "BadMessageId", "BadPriority", "InvalidPushType", "PayloadEmpty"]
OUR_BUGS += ["DuplicateHeaders", "MissingDeviceToken"]


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (400, "BadDeviceToken", OutcomeKind.SUSPECT),
        (400, "DeviceTokenNotForTopic", OutcomeKind.SUSPECT),
        *((400, reason, OutcomeKind.PAUSE) for reason in ("BadTopic", "MissingTopic", "TopicDisallowed")),
        *((400, reason, OutcomeKind.FAIL_MESSAGE) for reason in OUR_BUGS),
        (400, "IdleTimeout", OutcomeKind.RETRY),
        (400, "SomethingNew", OutcomeKind.FAIL_DEVICE),
        (403, "ExpiredProviderToken", OutcomeKind.REAUTH),
        (403, "UnrelatedKeyIdInToken", OutcomeKind.RETRY),
        *((403, reason, OutcomeKind.PAUSE) for reason in PAUSING),
        (404, "BadPath", OutcomeKind.FAIL_DEVICE),
        (405, "MethodNotAllowed", OutcomeKind.FAIL_DEVICE),
        (410, "Unregistered", OutcomeKind.GONE),
        (410, "ExpiredToken", OutcomeKind.GONE),
        (413, "PayloadTooLarge", OutcomeKind.FAIL_MESSAGE),
        (429, "TooManyProviderTokenUpdates", OutcomeKind.RETRY),
        (429, "TooManyRequests", OutcomeKind.RETRY),
        (500, "InternalServerError", OutcomeKind.RETRY),
        (503, "ServiceUnavailable", OutcomeKind.RETRY),
        (503, "Shutdown", OutcomeKind.RETRY),
    ],
)
def test_answers_by_the_table(status: int, reason: str, kind: OutcomeKind) -> None:
    outcome = parse_answer(answer(status, {"reason": reason}))

    assert (outcome.kind, outcome.reason, outcome.http_status) == (kind, reason, status)


@pytest.mark.parametrize(
    ("status", "reason", "seconds", "whole_lane"),
    [
        (400, "IdleTimeout", 0.0, False),
        (403, "UnrelatedKeyIdInToken", 0.0, False),
        (429, "TooManyProviderTokenUpdates", 1200.0, True),
        (429, "TooManyRequests", 60.0, False),
        (500, "InternalServerError", 900.0, False),
        (503, "ServiceUnavailable", 900.0, False),
        (503, "Shutdown", 900.0, False),
    ],
)
def test_waits_by_the_table(status: int, reason: str, seconds: float, whole_lane: bool) -> None:
    outcome = parse_answer(answer(status, {"reason": reason}))

    assert (outcome.retry_after_s, outcome.whole_lane) == (seconds, whole_lane)


def test_accepted_keeps_the_apns_id() -> None:
    outcome = parse_answer(answer(200, apns_id="EC1BF194-B3B2-424A-89A9-5A918A6E6B5E"))

    assert (outcome.kind, outcome.provider_id) == (OutcomeKind.ACCEPTED, "EC1BF194-B3B2-424A-89A9-5A918A6E6B5E")


def test_410_tells_since_when_the_token_is_dead() -> None:
    outcome = parse_answer(answer(410, {"reason": "Unregistered", "timestamp": 1_700_000_000_500}))

    assert outcome.gone_since == datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)


@pytest.mark.parametrize("timestamp", [None, "soon", 1e300, -1e300, float("nan"), [1], 10**400])
def test_410_with_a_broken_time_has_none(timestamp: object) -> None:
    outcome = parse_answer(answer(410, {"reason": "Unregistered", "timestamp": timestamp}))

    assert (outcome.kind, outcome.gone_since) == (OutcomeKind.GONE, None)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, OutcomeKind.FAIL_DEVICE),
        (401, OutcomeKind.PAUSE),
        (403, OutcomeKind.PAUSE),
        (410, OutcomeKind.GONE),
        (413, OutcomeKind.FAIL_MESSAGE),
        (429, OutcomeKind.RETRY),
        (502, OutcomeKind.RETRY),
        (301, OutcomeKind.FAIL_DEVICE),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"<html>oops</html>", b'{"reason":"Bad', b"[1]", b'{"reason":7}', b"\xff" * 9000]
)
def test_bodies_that_are_not_json_are_judged_by_status(status: int, kind: OutcomeKind, body: bytes) -> None:
    outcome = parse_answer(answer(status, body))

    assert outcome.kind is kind
    assert len(outcome.detail) <= 256
    assert re.fullmatch(r"[^\x00-\x1f]*", outcome.detail)


@pytest.mark.parametrize(
    ("failure", "kind", "seconds"),
    [
        (TransportFailure.NOT_SENT, OutcomeKind.RETRY, 10.0),
        (TransportFailure.IN_DOUBT, OutcomeKind.IN_DOUBT, 10.0),
        (TransportFailure.TLS, OutcomeKind.PAUSE, None),
        (TransportFailure.FORBIDDEN_ADDRESS, OutcomeKind.PAUSE, None),
    ],
)
def test_failures_by_the_table(failure: TransportFailure, kind: OutcomeKind, seconds: float | None) -> None:
    outcome = parse_answer(HttpAnswer(1, failure=failure))

    assert (outcome.kind, outcome.retry_after_s) == (kind, seconds)


def test_guard_counts_bad_tokens_but_not_dead_ones() -> None:
    assert parse_answer(answer(400, {"reason": "BadDeviceToken"})).is_suspicious
    assert parse_answer(answer(400, {"reason": "DeviceTokenNotForTopic"})).is_suspicious
    assert not parse_answer(answer(410, {"reason": "Unregistered"})).is_suspicious
