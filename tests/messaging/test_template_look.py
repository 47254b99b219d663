"""A template's look beyond its texts, for apps that have no SDK to draw it: what FCM, APNs and browsers are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from devices.push_services import PushService
from messaging.providers.registry import preview_payload
from messaging.publishing import PublishRequest, render_for
from messaging.push_templates import request_from_template, template_named
from messaging.simulators.accounts import demo_token
from messaging.template_models import AndroidChannelTemplate, ButtonTemplate, PushTemplate
from tests.factories import make_application
from tests.messaging.provider_parts import ENVELOPE
from tests.messaging.simulator_clients import Client, running_simulators

pytestmark = pytest.mark.django_db

ANDROID = {
    "contentTitle": "Corner Coffee",
    "icon": "ic_cup",
    "largeIcon": "https://shop.example/cup.png",
    "attachmentUrl": "https://shop.example/tea.jpg",
    "colorCode": "#3E86C4",
    "badgeNumber": 3,
    "cancel": {"after": 60, "ontap": False},
    "directBoot": True,
    "channelTemplate": "loud",
    "buttonTemplate": "answers",
}
LOUD = {
    "sound": "gong",
    "vibrate": [0, 250],
    "lightsColor": "#FF8000",
    "lightsOnMs": 500,
    "lightsOffMs": 1500,
    "priority": 5,
}


@pytest.fixture(scope="module")
def simulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running_simulators(tmp_path_factory.mktemp("look")) as running:
        yield running


def pushed(**options: Any) -> PublishRequest:
    """What pushing a template with these columns asks for."""
    application = make_application()
    buttons = [{"id": "yes", "title": "Yes, please"}, {"id": "no", "title": "No"}]
    AndroidChannelTemplate.objects.create(application=application, name="loud", options=LOUD)
    for platform in ("ANDROID", "IOS"):
        ButtonTemplate.objects.create(application=application, platform=platform, name="answers", buttons=buttons)
    template = {"name": "tea", "message": "Tea is ready", **options}
    PushTemplate.objects.create(application=application, **template)
    return request_from_template(template_named(application, "tea"), {})


def payload(service: PushService, **options: Any) -> dict[str, Any]:
    """What a device is sent."""
    application = make_application()
    notification = render_for(pushed(**options), application, service, ENVELOPE.message_id)
    shown: dict[str, Any] = json.loads(preview_payload(service, notification, ENVELOPE).text)
    return shown


def test_fcm_is_told_what_its_own_notifications_can_show() -> None:
    message = payload(PushService.FCM, android=ANDROID)["message"]

    shown = message["android"]["notification"]
    channel_id = shown.pop("channel_id")
    assert shown == {
        "tag": ENVELOPE.message_id,
        "sound": "gong",
        "icon": "ic_cup",
        "color": "#3E86C4",
        "image": "https://shop.example/tea.jpg",
        "notification_priority": "PRIORITY_MAX",
        "notification_count": 3,
        "vibrate_timings": ["0s", "0.25s"],
        "light_settings": {
            "color": {"red": 1.0, "green": 0.502, "blue": 0.0, "alpha": 1},
            "light_on_duration": "0.5s",
            "light_off_duration": "1.5s",
        },
        "sticky": True,
    }
    assert message["android"]["direct_boot_ok"] is True
    assert channel_id == f"{PushTemplate.objects.get().application.application_id}".upper() + ":tea"


def test_the_sdk_is_told_the_templates_name_all_the_same() -> None:
    assert payload(PushService.FCM, android=ANDROID)["message"]["data"]["template_name"] == "tea"


def test_fcm_takes_such_a_message(simulators: Client) -> None:
    message = payload(PushService.FCM, android=ANDROID)["message"]

    answer = simulators.send_fcm({"message": {**message, "token": demo_token("fcm", 1)}})

    assert answer.status == 200, answer.json()


def test_what_a_template_leaves_open_is_left_to_the_app() -> None:
    shown = payload(PushService.FCM)["message"]["android"]["notification"]

    assert shown.keys() == {"tag", "channel_id"}


def test_an_attachment_that_is_no_address_is_left_to_the_sdk() -> None:
    shown = payload(PushService.FCM, android={"attachmentUrl": "raw/tea"})["message"]["android"]["notification"]

    assert "image" not in shown


def test_a_silent_template_shows_nothing_on_android() -> None:
    message = payload(PushService.FCM, android={"contentAvailable": 1})["message"]

    assert "notification" not in message
    assert message["data"]["message"] == "Tea is ready"


def test_apns_is_told_the_buttons_as_category(simulators: Client) -> None:
    ios = {
        "alertTitle": "Corner Coffee",
        "buttonTemplate": "answers",
        "threadId": "tea",
        "badge": 2,
        "sound": "gong",
    }

    sent = payload(PushService.APNS, ios=ios)

    assert sent["aps"] == {
        "alert": {"title": "Corner Coffee", "body": "Tea is ready"},
        "badge": 2,
        "sound": "gong",
        "mutable-content": 1,
        "thread-id": "tea",
        "category": "answers",
    }
    assert simulators.send_apns(demo_token("apns", 1), sent).status == 200


def test_browsers_show_androids_title_pictures_and_buttons() -> None:
    sent = payload(PushService.WEBPUSH, android=ANDROID)

    assert (sent["title"], sent["body"]) == ("Corner Coffee", "Tea is ready")
    assert (sent["icon"], sent["image"]) == ("https://shop.example/cup.png", "https://shop.example/tea.jpg")
    assert sent["actions"] == [{"action": "yes", "title": "Yes, please"}, {"action": "no", "title": "No"}]


def test_windows_shows_androids_title() -> None:
    request = pushed(android=ANDROID)

    notification: Any = render_for(request, make_application(), PushService.WNS, ENVELOPE.message_id)

    assert (notification.title, notification.text) == ("Corner Coffee", "Tea is ready")


def test_the_look_is_part_of_the_messages_snapshot() -> None:
    request = pushed(android=ANDROID)
    assert request.template is not None

    assert type(request.template).from_json(request.template.to_json()) == request.template
