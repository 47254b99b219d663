from __future__ import annotations

import json
from time import time

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256

from devices.push_urls import PushUrlPolicy
from messaging.providers.base import (
    HttpAnswer,
    HttpRequest,
    InvalidTarget,
    OutcomeKind,
    PayloadTooLarge,
    Target,
    TransportFailure,
)
from messaging.providers.credentials import WebPushCredential
from messaging.providers.jwt import base64url, from_base64url
from messaging.providers.notifications import WebNotification
from messaging.providers.webpush import MAX_ORIGINS, WebPushProvider, parse_answer
from messaging.providers.webpush_encryption import PLAINTEXT_LIMIT, encrypt, encrypt_with
from tests.messaging.provider_parts import (
    ENVELOPE,
    NoTransport,
    answer,
    der_signature,
    ec_key,
    header_map,
    jwt_parts,
    point_of,
    webpush_json,
)

AUTH = b"0123456789abcdef"
RECEIVER = generate_private_key(SECP256R1())
MOZILLA = "https://updates.push.services.mozilla.com/wpush/v2/x"
GOOGLE = "https://fcm.googleapis.com/fcm/send/y"


def make_provider() -> WebPushProvider:
    return WebPushProvider(WebPushCredential.from_json(webpush_json()), NoTransport(), PushUrlPolicy())


def subscription(endpoint: str = MOZILLA, point: bytes | None = None, auth: bytes = AUTH) -> Target:
    keys = {"p256dh": base64url(point or point_of(RECEIVER)), "auth": base64url(auth)}
    return Target(1, json.dumps({"endpoint": endpoint, "keys": keys}))


def decrypted(request: HttpRequest, receiver: EllipticCurvePrivateKey = RECEIVER) -> bytes:
    plaintext = http_ece.decrypt(request.body, private_key=receiver, auth_secret=AUTH, version="aes128gcm")
    assert isinstance(plaintext, bytes)
    return plaintext


def notification(body: str = "Text") -> WebNotification:
    return WebNotification(title="Title", body=body, url="https://shop.example/", tag="t", data={"city": "Oslo"})


def private_key(encoded: str) -> EllipticCurvePrivateKey:
    return derive_private_key(int.from_bytes(from_base64url(encoded), "big"), SECP256R1())


def test_example_of_rfc_8291_is_reproduced() -> None:
    sender = private_key("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
    receiver_key = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"

    body = encrypt_with(
        b"When I grow up, I want to be a watermelon",
        from_base64url(receiver_key),
        from_base64url("BTBZMqHH6r4Tts7J_aSIgg"),
        sender=sender,
        salt=from_base64url("DGv6ra1nlYgDCS1FRnbzlw"),
    )

    assert base64url(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
        "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


@pytest.mark.parametrize("plaintext", [b"", b"x", "Grüße 😀".encode(), b"x" * PLAINTEXT_LIMIT])
def test_another_implementation_decrypts_every_length(plaintext: bytes) -> None:
    body = encrypt(plaintext, point_of(RECEIVER), AUTH)

    assert http_ece.decrypt(body, private_key=RECEIVER, auth_secret=AUTH, version="aes128gcm") == plaintext


def test_longest_message_fills_exactly_what_services_must_take() -> None:
    assert len(encrypt(b"x" * PLAINTEXT_LIMIT, point_of(RECEIVER), AUTH)) == 4096


def test_every_message_has_its_own_key_and_salt() -> None:
    first, second = (encrypt(b"x", point_of(RECEIVER), AUTH) for _ in range(2))

    assert first[:16] != second[:16]
    assert first[21:86] != second[21:86]


def test_request_is_what_rfc_8030_asks() -> None:
    request = make_provider().prepare(notification(), ENVELOPE).request(6, subscription())

    headers = header_map(request)
    assert request.url == MOZILLA
    assert (headers["ttl"], headers["urgency"], headers["content-encoding"]) == ("3600", "normal", "aes128gcm")
    assert headers["content-type"] == "application/octet-stream"
    assert 0 < len(headers["topic"]) <= 32
    assert set(headers["topic"]) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert json.loads(decrypted(request)) == {
        "title": "Title",
        "body": "Text",
        "url": "https://shop.example/",
        "tag": "t",
        "data": {"city": "Oslo"},
    }


def test_vapid_header_names_the_origin_and_expires_within_a_day() -> None:
    request = make_provider().prepare(notification(), ENVELOPE).request(1, subscription(GOOGLE))

    scheme, token, key = header_map(request)["authorization"].replace(",", "").split(" ")
    header, claims, signature, signed = jwt_parts(token.removeprefix("t="))
    assert (scheme, header["alg"]) == ("vapid", "ES256")
    assert (claims["aud"], claims["sub"]) == ("https://fcm.googleapis.com", "mailto:ops@example.com")
    assert abs(claims["exp"] - time() - 12 * 3600) < 5
    assert key == f"k={base64url(point_of(ec_key()))}"
    ec_key().public_key().verify(der_signature(signature), signed, ECDSA(SHA256()))


def test_vapid_header_is_signed_once_per_origin() -> None:
    provider = make_provider()
    prepared = provider.prepare(notification(), ENVELOPE)
    first, second = (prepared.request(1, subscription()).headers for _ in range(2))
    other = prepared.request(1, subscription(GOOGLE)).headers
    next_batch = provider.prepare(notification("Other"), ENVELOPE).request(1, subscription()).headers

    assert first is second
    assert first[0] == next_batch[0] != other[0]


def test_refused_vapid_header_is_signed_anew() -> None:
    provider = make_provider()
    prepared = provider.prepare(notification(), ENVELOPE)
    before = prepared.request(1, subscription()).headers
    provider.authorize(refused=True)

    assert prepared.request(1, subscription()).headers[0] != before[0]


def test_limit_counts_the_bytes_before_encryption() -> None:
    provider = make_provider()
    overhead = len(provider.prepare(notification(""), ENVELOPE).payload)

    request = provider.prepare(notification("x" * (3993 - overhead)), ENVELOPE).request(1, subscription())
    assert len(request.body) == 4096
    with pytest.raises(PayloadTooLarge):
        provider.prepare(notification("x" * (3994 - overhead)), ENVELOPE)


@pytest.mark.parametrize(
    "target",
    [
        *(Target(1, token) for token in ("", "tok", "null", "[]", "{}", '{"endpoint":1,"keys":{}}', "[" * 6000)),
        Target(1, '{"endpoint":"https://fcm.googleapis.com/x","keys":[]}'),
        Target(1, '{"endpoint":"https://fcm.googleapis.com/x","keys":{"p256dh":1,"auth":2}}'),
        subscription("http://fcm.googleapis.com/x"),
        subscription("https://evil.example/x"),
        subscription(point=b"\x04" + b"\x01" * 64),
        subscription(point=b"\x04" * 10),
        subscription(auth=b""),
        subscription(auth=b"x" * 300),
    ],
)
def test_subscription_that_cannot_be_used_is_an_invalid_target(target: Target) -> None:
    prepared = make_provider().prepare(notification(), ENVELOPE)

    with pytest.raises(InvalidTarget):
        prepared.request(1, target)


def test_lane_is_the_push_services_origin() -> None:
    assert make_provider().lane_key(subscription()) == "https://updates.push.services.mozilla.com"
    assert make_provider().lane_key(Target(1, "broken")) == ""


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, OutcomeKind.ACCEPTED) for status in (200, 201, 202, 204)),
        *((status, OutcomeKind.GONE) for status in (404, 410)),
        *((status, OutcomeKind.FAIL_DEVICE) for status in (301, 302, 307, 308, 400, 405, 418)),
        *((status, OutcomeKind.KEY_REFUSED) for status in (401, 403)),
        (413, OutcomeKind.FAIL_MESSAGE),
        *((status, OutcomeKind.RETRY) for status in (429, 500, 502, 503, 504)),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\x00", b'{"errno":103}'])
def test_answers_by_the_table(status: int, kind: OutcomeKind, body: bytes) -> None:
    assert parse_answer(answer(status, body)).kind is kind


@pytest.mark.parametrize(
    ("status", "headers", "seconds", "whole_lane"),
    [(429, {}, 60.0, True), (429, {"retry_after": "7"}, 7.0, True), (503, {"retry_after": "30"}, 30.0, False)]
    + [(500, {}, 10.0, False)],
)
def test_waits_by_the_table(status: int, headers: dict[str, str], seconds: float, whole_lane: bool) -> None:
    outcome = parse_answer(answer(status, **headers))

    assert (outcome.retry_after_s, outcome.whole_lane) == (seconds, whole_lane)


def test_wrong_vapid_key_counts_for_the_guard() -> None:
    assert parse_answer(answer(401)).is_suspicious
    assert parse_answer(answer(403)).is_suspicious
    assert not parse_answer(answer(410)).is_suspicious


def test_accepted_keeps_the_messages_location() -> None:
    assert parse_answer(answer(201, location="https://push.example/m/1")).provider_id == "https://push.example/m/1"


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (TransportFailure.NOT_SENT, OutcomeKind.RETRY),
        (TransportFailure.IN_DOUBT, OutcomeKind.IN_DOUBT),
        (TransportFailure.TLS, OutcomeKind.PAUSE),
        (TransportFailure.FORBIDDEN_ADDRESS, OutcomeKind.FAIL_DEVICE),
    ],
)
def test_failures_by_the_table(failure: TransportFailure, kind: OutcomeKind) -> None:
    assert parse_answer(HttpAnswer(1, failure=failure)).kind is kind


def test_many_hosts_are_all_served() -> None:
    prepared = make_provider().prepare(notification(), ENVELOPE)

    for number in range(MAX_ORIGINS + 2):
        request = prepared.request(1, subscription(f"https://h{number}.push.services.mozilla.com/x"))

        _, token, _ = header_map(request)["authorization"].replace(",", "").split(" ")
        assert jwt_parts(token.removeprefix("t="))[1]["aud"] == f"https://h{number}.push.services.mozilla.com"
