from __future__ import annotations

import pytest

from devices.push_services import Os
from messaging.providers.notifications import (
    AndroidNotification,
    AndroidStyle,
    IosNotification,
    Notification,
    WebNotification,
    WindowsKind,
    WindowsNotification,
)
from messaging.rendering import InvalidHeader, body_text, headers_name_os, render

MESSAGE_ID = "message:37C81F70-9B7B-4CF8-FF24-3690D9054F00"


def rendered(body: object, headers: dict[str, str], os: Os) -> Notification:
    return render(body, headers, os, message_id=MESSAGE_ID, android_style=AndroidStyle.DATA)


def android(body: object = "Hi", **headers: str) -> AndroidNotification:
    notification = rendered(body, _dashed(headers), Os.ANDROID)
    assert isinstance(notification, AndroidNotification)
    return notification


def ios(body: object = "Hi", **headers: str) -> IosNotification:
    notification = rendered(body, _dashed(headers), Os.IOS)
    assert isinstance(notification, IosNotification)
    return notification


def windows(body: object = "Hi", **headers: str) -> WindowsNotification:
    notification = rendered(body, _dashed(headers), Os.WP)
    assert isinstance(notification, WindowsNotification)
    return notification


def web(body: object = "Hi", **headers: str) -> WebNotification:
    notification = rendered(body, _dashed(headers), Os.WEB)
    assert isinstance(notification, WebNotification)
    return notification


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): text for name, text in headers.items()}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("Hi", "Hi"),
        (None, ""),
        (3, "3"),
        (True, "true"),
        ([1, "é"], '[1,"é"]'),
        ({"a": {"b": None}}, '{"a":{"b":null}}'),
    ],
)
def test_body_of_any_type_is_shown_as_text(body: object, text: str) -> None:
    assert body_text(body) == text
    assert android(body).text == ios(body).body == windows(body).text == web(body).body == text


def test_android_headers_reach_their_places() -> None:
    notification = android(
        android_ticker_text="Ticker",
        android_content_title="Title",
        android_content_text="Text",
        android_summary_subtext="Sub",
        android_content_sound="ding",
    )

    assert (notification.ticker, notification.title, notification.text) == ("Ticker", "Title", "Text")
    assert (notification.subtext, notification.sound) == ("Sub", "ding")
    assert notification.style is AndroidStyle.DATA


def test_android_data_holds_message_id_body_and_every_header() -> None:
    notification = android({"a": 1}, android_content_title="Title", city="Oslo", messageId="forged")

    assert notification.data == {
        "android-content-title": "Title",
        "city": "Oslo",
        "message": '{"a":1}',
        "messageId": MESSAGE_ID,
    }


@pytest.mark.parametrize("name", ["from", "message_type", "gcm.n.e", "google.ttl"])
def test_names_reserved_by_fcm_are_invalid_headers(name: str) -> None:
    with pytest.raises(InvalidHeader) as caught:
        rendered("Hi", {name: "x"}, Os.ANDROID)

    assert caught.value.header == name


def test_ios_alert_absent_is_the_message() -> None:
    assert ios("Hello").body == "Hello"


def test_ios_alert_body_wins_over_ios_alert() -> None:
    assert ios(ios_alert="Old").body == "Old"
    assert ios(ios_alert="Old", ios_alert_body="New").body == "New"


def test_ios_headers_reach_their_places() -> None:
    notification = ios(
        ios_alert_title="Title",
        ios_alert_subtitle="Sub",
        ios_badge=" 7 ",
        ios_sound="default",
        ios_thread_id="news",
        ios_rich_media_url="https://cdn.example/a.png",
        city="Oslo",
    )

    assert (notification.title, notification.subtitle, notification.badge) == ("Title", "Sub", 7)
    assert (notification.sound, notification.thread_id, notification.mutable_content) == ("default", "news", True)
    assert notification.custom == {
        "city": "Oslo",
        "messageId": MESSAGE_ID,
        "ios-alert-title": "Title",
        "ios-alert-subtitle": "Sub",
        "attachment-url": "https://cdn.example/a.png",
    }


def test_ios_content_available_alone_keeps_the_alert() -> None:
    notification = ios("Hello", ios_content_available="1")

    assert notification.content_available
    assert notification.body == "Hello"


def test_macos_uses_the_ios_headers() -> None:
    assert rendered("Hi", {"ios-badge": "1"}, Os.OSX) == rendered("Hi", {"ios-badge": "1"}, Os.IOS)


@pytest.mark.parametrize(
    ("os", "header", "content"),
    [
        *((Os.IOS, "ios-badge", content) for content in ("many", "-1", "1.5", "٣", "1" * 10)),
        (Os.IOS, "ios-content-available", "maybe"),
        (Os.IOS, "aps", "x"),
        (Os.WP, "wp-type", "BALLOON"),
        (Os.WP, "wp-badge", "smile"),
        (Os.WP, "wp-count", "many"),
        (Os.WP, "wp-backgroundImage", "javascript:alert(1)"),
        *((Os.WEB, "web-url", content) for content in ("javascript:alert(1)", "JaVaScRiPt:x", "data:text/html,x")),
        *((Os.WEB, "web-url", content) for content in ("java\nscript:alert(1)", " javascript:x", "https://a b/")),
        (Os.WEB, "web-icon", "file:///etc/passwd"),
        (Os.WEB, "web-badge", "javascript:alert(1)"),
        (Os.WEB, "web-image", "blob:x"),
    ],
)
def test_value_that_cannot_be_expressed_is_an_invalid_header(os: Os, header: str, content: str) -> None:
    with pytest.raises(InvalidHeader) as caught:
        rendered("Hi", {header: content}, os)

    assert caught.value.header == header


def test_windows_type_is_toast_by_default() -> None:
    assert windows().kind is WindowsKind.TOAST
    assert windows(wp_type="TILE").kind is WindowsKind.TILE


def test_windows_headers_reach_their_places() -> None:
    notification = windows(
        wp_title="Title", wp_subtitle="Sub", wp_parameter="page=1", wp_backgroundImage="https://cdn.example/a.png"
    )

    assert (notification.title, notification.text, notification.parameter) == ("Title", "Sub", "page=1")
    assert notification.image_url == "https://cdn.example/a.png"
    assert windows(wp_content="Content", wp_subtitle="Sub").text == "Content"
    assert windows(wp_type="RAW", wp_raw="{}").raw == "{}"
    assert windows("Hello", wp_type="RAW").raw == "Hello"
    assert windows(wp_type="BADGE", wp_count="3").badge == "3"
    assert windows(wp_type="BADGE", wp_badge="newMessage").badge == "newMessage"


def test_windows_badge_without_a_value_is_an_invalid_header() -> None:
    with pytest.raises(InvalidHeader, match="wp-badge must be given"):
        windows(wp_type="BADGE")


def test_web_headers_reach_their_places() -> None:
    notification = web(
        web_title="Title",
        web_text="Text",
        web_icon="/icon.png",
        web_image="https://cdn.example/a.png",
        web_url="https://shop.example/a?b=c:d",
        city="Oslo",
    )

    assert (notification.title, notification.body, notification.icon_url) == ("Title", "Text", "/icon.png")
    assert (notification.image_url, notification.url) == ("https://cdn.example/a.png", "https://shop.example/a?b=c:d")
    assert notification.tag == MESSAGE_ID
    assert notification.data == {"city": "Oslo", "messageId": MESSAGE_ID}


def test_empty_headers_count_as_absent() -> None:
    assert ios("Hello", ios_alert="", ios_badge="", ios_content_available="").body == "Hello"
    assert web("Hello", web_text="").body == "Hello"


def test_headers_name_the_operating_systems() -> None:
    assert headers_name_os({"android-content-title": "x", "web-title": "y"}) == (Os.ANDROID, Os.WEB)
    assert headers_name_os({"ios-badge": "1", "wp-title": "y"}) == (Os.IOS, Os.WP)
    assert headers_name_os({"city": "Oslo"}) == ()


def test_action_and_badge_headers_reach_the_platform_that_knows_them() -> None:
    assert android(android_action="OPEN_ORDER").click_action == "OPEN_ORDER"
    assert web(web_badge="https://shop.example/badge.png").badge_url == "https://shop.example/badge.png"
