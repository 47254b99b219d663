"""Every Messaging call of the official SDKs, unmodified, with the answers the documents promise."""

from __future__ import annotations

import time
from typing import Any

import pytest

from devices.push_services import PushService
from messaging.models import Message
from messaging.providers.notifications import IosNotification
from messaging.publishing import render_for, request_of
from messaging.template_models import PushTemplate
from tests.realtime.conftest import Live
from tests.realtime.sdks import judge


@pytest.mark.parametrize("sdk", ["backendless8", "backendless7", "backendless6", "chromium"])
def test_every_messaging_call_of_the_sdk_is_answered_as_documented(live: Live, sdk: str) -> None:
    make_templates(live)

    check_messaging(judge(sdk)("messaging", live.sdk_configuration(tomorrow=tomorrow())), live, sdk)


@pytest.mark.parametrize("sdk", ["backendless8", "backendless7", "backendless6", "chromium"])
def test_every_messaging_call_of_the_sdk_is_answered_by_host_name_too(live: Live, sdk: str) -> None:
    make_templates(live)

    check_messaging(judge(sdk)("messaging", live.sdk_configuration_by_host(tomorrow=tomorrow())), live, sdk)


def make_templates(live: Live) -> None:
    application = live.account.application
    PushTemplate.objects.create(application=application, name="welcome", message="Hello")
    PushTemplate.objects.create(
        application=application, name="my tpl", message="Hi {name}", ios={"alertTitle": "{n} new"}, platforms=["IOS"]
    )


def check_messaging(report: dict[str, Any], live: Live, sdk: str) -> None:
    check_published(report["publish"], sdk)
    check_scheduled(report["scheduled"])
    check_devices(report["devices"])
    check_templates(report["templates"], live)
    check_users(report["users"])
    check_email(report["email"])
    assert report["deleteChannel"] is None or report["deleteChannel"]["value"] is None
    assert report["nobody"]["error"]["code"] == 2002


def tomorrow() -> int:
    """A wire time, in whole seconds."""
    return round(time.time() + 86_400) * 1000


def check_published(published: dict[str, Any], sdk: str) -> None:
    past, strange = published.pop("past"), published.pop("strangeChannel")
    assert past["error"]["code"] == 5030
    # SDK 6 for Node does not encode the channel's name, and Node refuses to send it
    assert "value" in strange or (sdk, strange["error"]["code"]) == ("backendless6", "ERR_UNESCAPED_CHARACTERS")
    for name, outcome in published.items():
        answer = outcome.get("value", outcome)
        assert (name, answer.get("errorMessage", answer), answer.get("status")) == (name, None, "scheduled")
        assert answer["messageId"].startswith("message:")


def check_scheduled(report: dict[str, Any]) -> None:
    statuses = [report[name]["value"]["status"] for name in ("status", "cancel", "statusAfter", "unknown")]
    assert statuses == ["SCHEDULED", "CANCELLED", "CANCELLED", "UNKNOWN"]
    message = "Message has already been canceled or does not exist."
    assert report["cancelAgain"]["error"] == {"code": 5040, "message": message, "status": 400}


def check_devices(report: dict[str, Any]) -> None:
    registration_id = report["plain"]["value"]["registrationId"].removesuffix("::default")
    assert report["channels"]["value"] == {"registrationId": f"{registration_id}::news,{registration_id}::default"}
    assert report["milliseconds"]["value"] == report["date"]["value"] == {"registrationId": f"{registration_id}::news"}
    (device,) = report["get"]["value"]
    assert (device["id"], device["deviceId"], device["os"], device["osVersion"]) == (
        registration_id,
        "DEV-1",
        "ANDROID",
        "14",
    )
    assert (device["channels"], device["expiration"] % 1000) == (["news"], 123)
    assert report["unregister"]["value"] == {"result": True}
    codes = [report[name]["error"]["code"] for name in ("expired", "getAfter", "unregisterAgain")]
    assert codes == [5004, 5000, 5001]


def check_templates(report: dict[str, Any], live: Live) -> None:
    pushed, with_values = report["push"]["value"], report["pushWithValues"]["value"]
    assert (pushed["status"], pushed["errorMessage"]) == ("SCHEDULED", None)
    message_id = with_values["messageId"].removeprefix("message:").lower()
    message = Message.objects.get(application=live.account.application, message_id=message_id)
    ios = render_for(request_of(message), message.application, PushService.APNS, message.wire_id)
    assert isinstance(ios, IosNotification)
    assert (ios.title, ios.body) == ("3 new", "Hi Bob")
    assert report["android"]["value"].keys() == {"welcome"}
    assert report["ios"]["value"].keys() == {"welcome", "my tpl"}
    assert "no such template" in report["unknown"]["error"]["message"]


def check_users(report: dict[str, Any]) -> None:
    assert report["login"]["value"]["objectId"] == report["register"]["value"]["objectId"]
    assert report["isValidLogin"]["value"] is True
    assert "error" not in report["logout"]
    statuses = [report[name]["value"]["status"] for name in ("publish", "publishAfter")]
    assert statuses == ["scheduled", "scheduled"]
    assert report["wrongPassword"]["error"]["code"] == 3003


def check_email(report: dict[str, Any]) -> None:
    assert "not" in report["plain"]["error"]["message"]
    message = "Email Template with name 'nonexistent-template' doesn't exist."
    assert report["template"]["error"] == {"code": 24002, "message": message, "status": 400}
