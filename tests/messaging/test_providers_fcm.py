from __future__ import annotations

import json

import pytest

from messaging.providers.base import (
    HttpAnswer,
    InvalidTarget,
    OutcomeKind,
    PayloadTooLarge,
    Target,
    TransportFailure,
)
from messaging.providers.credentials import FcmCredential, MemoryTokenStore
from messaging.providers.fcm import FcmProvider, parse_answer
from messaging.providers.notifications import AndroidNotification, AndroidStyle
from messaging.providers.transport_rules import TransportRules
from tests.messaging.provider_parts import ENVELOPE, MESSAGE_ID, NoTransport, answer, fcm_json

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


def make_provider() -> FcmProvider:
    return FcmProvider(
        FcmCredential.from_json(fcm_json()),
        NoTransport(),
        MemoryTokenStore(),
        base_url="https://fcm.googleapis.com",
        token_url="https://oauth2.googleapis.com/token",
        token_rules=TransportRules(),
    )


def make_notification(style: AndroidStyle = AndroidStyle.BOTH, text: str = "Text") -> AndroidNotification:
    return AndroidNotification(
        title="Title", text=text, ticker="Ticker", sound="ding", style=style, data={"message": text, "city": "Malmö"}
    )


def error(status: str, code: str = "", message: str = "words", field: str = "") -> dict[str, object]:
    details: list[dict[str, object]] = []
    if code:
        details.append({"@type": FCM_ERROR, "errorCode": code})
    if field:
        details.append({"@type": BAD_REQUEST, "fieldViolations": [{"field": field, "description": "bad"}]})
    return {"error": {"status": status, "message": message, "details": details}}


TOKEN_FIELD_REFUSED = error("INVALID_ARGUMENT", "INVALID_ARGUMENT", field="message.token")
TOKEN_WORDS_REFUSED = error("INVALID_ARGUMENT", message="The registration token is not a valid FCM registration token")


def test_message_carries_data_and_notification() -> None:
    request = make_provider().prepare(make_notification(), ENVELOPE).request(5, Target(1, "tok:en_-.1"))

    assert request.key == 5
    assert request.url == "https://fcm.googleapis.com/v1/projects/demo-project/messages:send"
    assert json.loads(request.body) == {
        "message": {
            "token": "tok:en_-.1",
            "data": {"message": "Text", "city": "Malmö"},
            "notification": {"title": "Title", "body": "Text"},
            "android": {
                "priority": "high",
                "ttl": "3600s",
                "notification": {"ticker": "Ticker", "sound": "ding", "tag": MESSAGE_ID},
            },
        }
    }


def test_style_data_has_no_notification_block() -> None:
    request = make_provider().prepare(make_notification(AndroidStyle.DATA), ENVELOPE).request(1, Target(1, "tok"))

    message = json.loads(request.body)["message"]
    assert set(message) == {"token", "data", "android"}
    assert "notification" not in message["android"]


def test_style_notification_has_no_data_block() -> None:
    request = make_provider().prepare(make_notification(AndroidStyle.NOTIFICATION), ENVELOPE).request(1, Target(1, "t"))

    assert "data" not in json.loads(request.body)["message"]


def test_requests_of_a_batch_share_their_header_lines() -> None:
    prepared = make_provider().prepare(make_notification(), ENVELOPE)

    assert prepared.request(1, Target(1, "a")).headers is prepared.request(2, Target(2, "b")).headers


@pytest.mark.parametrize("token", ["", 'a","x":"', "a\n", "a b", "é"])
def test_token_that_could_break_out_is_an_invalid_target(token: str) -> None:
    prepared = make_provider().prepare(make_notification(), ENVELOPE)

    with pytest.raises(InvalidTarget):
        prepared.request(1, Target(1, token))


def test_limit_counts_the_bytes_of_keys_and_values() -> None:
    provider = make_provider()
    # keys "message" and "city" with "Malmö": 7 + 4 + 6 bytes; the emoji is 4 bytes each.
    fitting = make_notification(AndroidStyle.DATA, "😀" * 1019 + "abc")

    provider.prepare(fitting, ENVELOPE)
    with pytest.raises(PayloadTooLarge) as caught:
        provider.prepare(make_notification(AndroidStyle.DATA, fitting.text + "d"), ENVELOPE)

    assert (caught.value.size, caught.value.limit) == (4097, 4096)


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (400, TOKEN_FIELD_REFUSED, OutcomeKind.SUSPECT, "INVALID_ARGUMENT token"),
        (400, TOKEN_WORDS_REFUSED, OutcomeKind.SUSPECT, "INVALID_ARGUMENT token"),
        (400, error("INVALID_ARGUMENT", field="message.android.ttl"), OutcomeKind.FAIL_MESSAGE, "INVALID_ARGUMENT"),
        (400, error("INVALID_ARGUMENT"), OutcomeKind.FAIL_MESSAGE, "INVALID_ARGUMENT"),
        (404, error("NOT_FOUND", "UNREGISTERED"), OutcomeKind.GONE, "UNREGISTERED"),
        (404, error("NOT_FOUND"), OutcomeKind.PAUSE, "NOT_FOUND"),
        (404, b"<html>404</html>", OutcomeKind.PAUSE, "HTTP 404"),
        (403, error("PERMISSION_DENIED", "SENDER_ID_MISMATCH"), OutcomeKind.FAIL_DEVICE, "SENDER_ID_MISMATCH"),
        (403, error("PERMISSION_DENIED"), OutcomeKind.PAUSE, "PERMISSION_DENIED"),
        (403, error("SERVICE_DISABLED"), OutcomeKind.PAUSE, "SERVICE_DISABLED"),
        (401, error("UNAUTHENTICATED"), OutcomeKind.REAUTH, "UNAUTHENTICATED"),
        (401, error("UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), OutcomeKind.PAUSE, "THIRD_PARTY_AUTH_ERROR"),
        (401, error("UNAUTHENTICATED", "APNS_AUTH_ERROR"), OutcomeKind.PAUSE, "APNS_AUTH_ERROR"),
        (429, error("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), OutcomeKind.RETRY, "QUOTA_EXCEEDED"),
        (503, error("UNAVAILABLE", "UNAVAILABLE"), OutcomeKind.RETRY, "UNAVAILABLE"),
        (500, error("INTERNAL", "INTERNAL"), OutcomeKind.RETRY, "INTERNAL"),
        (500, error("UNKNOWN", "UNSPECIFIED_ERROR"), OutcomeKind.RETRY, "UNSPECIFIED_ERROR"),
        (502, b"<!doctype html><title>Error 502</title>", OutcomeKind.RETRY, "HTTP 502"),
        (504, b"\xff\xfe\x00", OutcomeKind.RETRY, "HTTP 504"),
        (418, error("TEAPOT", "NEW_REASON"), OutcomeKind.FAIL_DEVICE, "NEW_REASON"),
        (302, b"", OutcomeKind.FAIL_DEVICE, "HTTP 302"),
    ],
)  # fmt: skip
def test_answers_by_the_table(status: int, body: object, kind: OutcomeKind, reason: str) -> None:
    outcome = parse_answer(answer(status, body))

    assert (outcome.kind, outcome.reason, outcome.http_status) == (kind, reason, status)


def test_accepted_keeps_the_name_google_gave() -> None:
    outcome = parse_answer(answer(200, {"name": "projects/demo-project/messages/0:1"}))

    assert (outcome.kind, outcome.provider_id) == (OutcomeKind.ACCEPTED, "projects/demo-project/messages/0:1")


def test_refused_field_is_named() -> None:
    outcome = parse_answer(answer(400, error("INVALID_ARGUMENT", field="message.android.ttl", message="Bad ttl")))

    assert outcome.detail == "message.android.ttl: Bad ttl"


@pytest.mark.parametrize(
    ("status", "retry_after", "seconds", "whole_lane"),
    [
        (429, None, 60.0, True),
        (429, "20", 20.0, True),
        (429, "999999", 3600.0, True),
        (503, None, 10.0, False),
        (503, "3", 10.0, False),
        (503, "30", 30.0, False),
        (500, None, 10.0, False),
    ],
)
def test_waits_by_the_table(status: int, retry_after: str | None, seconds: float, whole_lane: bool) -> None:
    headers = {} if retry_after is None else {"retry_after": retry_after}
    outcome = parse_answer(answer(status, **headers))

    assert (outcome.retry_after_s, outcome.whole_lane) == (seconds, whole_lane)


def test_refusals_that_may_be_our_fault_count_for_the_guard() -> None:
    assert parse_answer(answer(403, error("PERMISSION_DENIED", "SENDER_ID_MISMATCH"))).is_suspicious
    assert parse_answer(answer(400, TOKEN_FIELD_REFUSED)).is_suspicious
    assert not parse_answer(answer(404, error("NOT_FOUND", "UNREGISTERED"))).is_suspicious


@pytest.mark.parametrize(
    ("failure", "kind", "whole_lane"),
    [
        (TransportFailure.NOT_SENT, OutcomeKind.RETRY, True),
        (TransportFailure.IN_DOUBT, OutcomeKind.IN_DOUBT, False),
        (TransportFailure.TLS, OutcomeKind.PAUSE, False),
        (TransportFailure.FORBIDDEN_ADDRESS, OutcomeKind.PAUSE, False),
    ],
)
def test_failures_by_the_table(failure: TransportFailure, kind: OutcomeKind, whole_lane: bool) -> None:
    outcome = parse_answer(HttpAnswer(1, failure=failure, detail="Connection reset"))

    assert (outcome.kind, outcome.whole_lane, outcome.detail) == (kind, whole_lane, "Connection reset")


@pytest.mark.parametrize(
    "body",
    [b'{"error":{"status":"INVAL', b"[" * 6000, b'{"error":[]}', b'{"error":{"details":{"a":1}}}', b"null", b'"x"']
    + [b'{"error":{"details":[1,null,{"errorCode":5,"fieldViolations":[1,{"field":[]}]}],"message":{},"status":7}}'],
)
@pytest.mark.parametrize("status", [200, 400, 403, 404, 500])
def test_broken_bodies_never_raise(status: int, body: bytes) -> None:
    parse_answer(answer(status, body))


def test_words_of_the_service_are_cut_and_printable() -> None:
    outcome = parse_answer(answer(500, error("A" * 500, message="<b>\u202e\x00" + "x" * 500)))

    assert len(outcome.reason) == 64
    assert len(outcome.detail) <= 256
    assert outcome.detail.isprintable()


def test_one_project_is_one_lane() -> None:
    assert make_provider().lane_key(Target(1, "tok")) == ""
