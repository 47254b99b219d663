from __future__ import annotations

from xml.etree import ElementTree

import pytest

from devices.push_urls import PushUrlPolicy
from messaging.providers.base import (
    HttpAnswer,
    InvalidTarget,
    OutcomeKind,
    PayloadTooLarge,
    Target,
    TransportFailure,
)
from messaging.providers.credentials import MemoryTokenStore, WnsCredential
from messaging.providers.notifications import WindowsKind, WindowsNotification
from messaging.providers.transport_rules import TransportRules
from messaging.providers.wns import WnsProvider, encode_payload, parse_answer
from tests.messaging.provider_parts import ENVELOPE, NoTransport, answer, header_map, wns_json

CHANNEL = "https://db5.notify.windows.com/?token=AwYAAAB%2bx"


def make_provider() -> WnsProvider:
    return WnsProvider(
        WnsCredential.from_json(wns_json()),
        NoTransport(),
        MemoryTokenStore(),
        token_url="https://login.live.com/accesstoken.srf",
        token_rules=TransportRules(),
        url_policy=PushUrlPolicy(),
    )


def toast(text: str = "Text", **changes: str) -> WindowsNotification:
    return WindowsNotification(kind=WindowsKind.TOAST, title="Title", text=text, **changes)


def test_toast_is_posted_to_the_channel_uri() -> None:
    request = make_provider().prepare(toast(), ENVELOPE).request(4, Target(1, CHANNEL))

    headers = header_map(request)
    assert request.url == CHANNEL
    assert (headers["content-type"], headers["x-wns-type"], headers["x-wns-ttl"]) == ("text/xml", "wns/toast", "3600")


def test_toast_shows_texts_image_and_launch_argument() -> None:
    root = ElementTree.fromstring(
        encode_payload(toast("a <b> & c", parameter="page=1&x", image_url="ms-appx:///a.png"))
    )

    assert root.get("launch") == "page=1&x"
    assert [element.text for element in root.iter("text")] == ["Title", "a <b> & c"]
    assert [element.get("src") for element in root.iter("image")] == ["ms-appx:///a.png"]
    assert [element.get("template") for element in root.iter("binding")] == ["ToastGeneric"]


def test_tile_has_a_medium_and_a_wide_binding() -> None:
    root = ElementTree.fromstring(encode_payload(WindowsNotification(kind=WindowsKind.TILE, text="Hi")))

    assert root.tag == "tile"
    assert [element.get("template") for element in root.iter("binding")] == ["TileMedium", "TileWide"]


def test_badge_is_one_element() -> None:
    root = ElementTree.fromstring(encode_payload(WindowsNotification(kind=WindowsKind.BADGE, badge="7")))

    assert (root.tag, root.get("value")) == ("badge", "7")


def test_raw_is_sent_as_octets() -> None:
    notification = WindowsNotification(kind=WindowsKind.RAW, raw='{"a":"é"}')

    request = make_provider().prepare(notification, ENVELOPE).request(1, Target(1, CHANNEL))

    assert request.body == '{"a":"é"}'.encode()
    assert header_map(request)["content-type"] == "application/octet-stream"


def test_characters_that_xml_cannot_hold_are_left_out() -> None:
    root = ElementTree.fromstring(encode_payload(toast("a\x00\x08\x0b\x1f\ufffe\uffffb\tc\U0001f600")))

    assert [element.text for element in root.iter("text")][1] == "ab\tc\U0001f600"


def test_limit_counts_the_bytes_of_the_xml() -> None:
    provider = make_provider()
    overhead = len(encode_payload(toast("x"))) - 1

    provider.prepare(toast("x" * (5000 - overhead)), ENVELOPE)
    with pytest.raises(PayloadTooLarge):
        provider.prepare(toast("x" * (5001 - overhead)), ENVELOPE)


@pytest.mark.parametrize(
    "token", ["tok", "http://db5.notify.windows.com/", "https://127.0.0.1/", "https://evil.example/"]
)
def test_channel_uri_passes_the_gate_again_before_sending(token: str) -> None:
    prepared = make_provider().prepare(toast(), ENVELOPE)

    with pytest.raises(InvalidTarget):
        prepared.request(1, Target(1, token))


def test_lane_is_the_channels_origin() -> None:
    assert make_provider().lane_key(Target(1, CHANNEL)) == "https://db5.notify.windows.com"


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (200, {"x_wns_status": "received"}, OutcomeKind.ACCEPTED),
        (200, {}, OutcomeKind.ACCEPTED),
        (200, {"x_wns_status": "dropped"}, OutcomeKind.FAIL_DEVICE),
        (200, {"x_wns_status": "channelthrottled"}, OutcomeKind.RETRY),
        (400, {}, OutcomeKind.FAIL_MESSAGE),
        (401, {}, OutcomeKind.REAUTH),
        (403, {}, OutcomeKind.FAIL_DEVICE),
        (404, {}, OutcomeKind.GONE),
        (405, {}, OutcomeKind.FAIL_DEVICE),
        (406, {}, OutcomeKind.RETRY),
        (410, {}, OutcomeKind.GONE),
        (410, {"x_wns_error_description": "Domain Blocked"}, OutcomeKind.PAUSE),
        (410, {":reason": "Domain Blocked"}, OutcomeKind.PAUSE),
        (413, {}, OutcomeKind.FAIL_MESSAGE),
        (500, {}, OutcomeKind.RETRY),
        (503, {}, OutcomeKind.RETRY),
        (302, {"location": "https://127.0.0.1/"}, OutcomeKind.FAIL_DEVICE),
        (418, {}, OutcomeKind.FAIL_DEVICE),
    ],
)
def test_answers_by_the_table(status: int, headers: dict[str, str], kind: OutcomeKind) -> None:
    outcome = parse_answer(answer(status, **headers))

    assert (outcome.kind, outcome.http_status) == (kind, status)


@pytest.mark.parametrize(
    ("status", "headers", "seconds", "whole_lane"),
    [
        (200, {"x_wns_status": "channelthrottled"}, 300.0, False),
        (406, {"retry_after": "20"}, 20.0, True),
        (406, {}, 60.0, True),
        (500, {}, 10.0, False),
        (503, {"retry_after": "120"}, 120.0, False),
    ],
)
def test_waits_by_the_table(status: int, headers: dict[str, str], seconds: float, whole_lane: bool) -> None:
    outcome = parse_answer(answer(status, **headers))

    assert (outcome.retry_after_s, outcome.whole_lane) == (seconds, whole_lane)


def test_message_id_and_description_are_kept() -> None:
    outcome = parse_answer(answer(403, x_wns_msg_id="68E5B1", x_wns_error_description="Not your\x07 channel"))

    assert (outcome.provider_id, outcome.detail) == ("68E5B1", "Not your  channel")
    assert outcome.is_suspicious


def test_dropped_toast_is_never_counted_as_delivered() -> None:
    assert parse_answer(answer(200, x_wns_status="dropped")).reason == "dropped"


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
