from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest

from devices.push_services import Os, PushService
from messaging.providers.answers import parse_retry_after, printable
from messaging.providers.base import PayloadTooLarge
from messaging.providers.credentials import InvalidCredential, MemoryTokenStore
from messaging.providers.notifications import AndroidStyle, Notification
from messaging.providers.registry import ProviderEndpoints, make_provider, preview_payload
from messaging.rendering import render
from tests.messaging.provider_parts import ENVELOPE, MESSAGE_ID, apns_json, fcm_json, webpush_json, wns_json

SERVICES = [
    (PushService.FCM, Os.ANDROID, fcm_json(), 4096),
    (PushService.APNS, Os.IOS, apns_json(), 4096),
    (PushService.WNS, Os.WP, wns_json(), 5000),
    (PushService.WEBPUSH, Os.WEB, webpush_json(), 3993),
]
NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def rendered(os: Os, body: str) -> Notification:
    return render(body, {}, os, message_id=MESSAGE_ID, android_style=AndroidStyle.DATA)


@pytest.mark.parametrize(("push_service", "os", "credential", "limit"), SERVICES)
def test_preview_and_provider_agree_at_the_limit(
    push_service: PushService, os: Os, credential: dict[str, Any], limit: int
) -> None:
    provider = make_provider(push_service, credential, ProviderEndpoints(), MemoryTokenStore())
    overhead = preview_payload(push_service, rendered(os, "x"), ENVELOPE).size - 1
    largest = "x" * (limit - overhead)

    fitting = preview_payload(push_service, rendered(os, largest), ENVELOPE)
    too_large = preview_payload(push_service, rendered(os, largest + "x"), ENVELOPE)
    provider.prepare(rendered(os, largest), ENVELOPE)
    with pytest.raises(PayloadTooLarge) as caught:
        provider.prepare(rendered(os, largest + "x"), ENVELOPE)
    provider.transport.close()

    assert (fitting.size, fitting.limit, too_large.size) == (limit, limit, limit + 1)
    assert (caught.value.size, caught.value.limit) == (limit + 1, limit)
    assert provider.push_service is push_service


@pytest.mark.parametrize(("push_service", "os"), [(service, os) for service, os, _, _ in SERVICES])
def test_preview_shows_the_text_as_people_read_it(push_service: PushService, os: Os) -> None:
    preview = preview_payload(push_service, rendered(os, "Grüße 😀"), ENVELOPE)

    assert "Grüße 😀" in preview.text
    assert "\n" in preview.text
    parse = ElementTree.fromstring if preview.content_type == "text/xml" else json.loads
    parse(preview.text)


def test_preview_of_raw_windows_content_is_the_content() -> None:
    notification = render(
        "x", {"wp-type": "RAW", "wp-raw": "<raw>"}, Os.WP, message_id="m", android_style=AndroidStyle.BOTH
    )

    preview = preview_payload(PushService.WNS, notification, ENVELOPE)

    assert (preview.text, preview.size, preview.content_type) == ("<raw>", 5, "application/octet-stream")


@pytest.mark.parametrize("push_service", list(PushService))
def test_empty_credential_is_invalid(push_service: PushService) -> None:
    with pytest.raises(InvalidCredential):
        make_provider(push_service, {}, ProviderEndpoints(), MemoryTokenStore())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("20", 20.0),
        (" 20 ", 20.0),
        ("0", 1.0),
        ("99999999999999999999", 3600.0),
        ("Sun, 22 Nov 2026 12:02:00 GMT", 120.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 1.0),
        ("Sun, 22 Nov 2099 12:00:00 GMT", 3600.0),
        *((header, None) for header in ("", "soon", "-5", "1.5", "\u0662\u0660", "Sun, 99 Nov 2026 12:00:00 GMT")),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_an_hour(header: str, seconds: float | None) -> None:
    assert parse_retry_after(header, NOW) == seconds


def test_words_of_strangers_become_printable() -> None:
    assert printable("a\x00b\u202ec\nd\ud800e" + "x" * 100, 9) == "a b c d e"
