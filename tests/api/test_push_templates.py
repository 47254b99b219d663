"""Pushes from a template, and templates as devices store them (contract.md 3 to 5)."""

from __future__ import annotations

from typing import Any

from devices.push_services import Os, PushService
from messaging.models import Message
from messaging.publishing import render_for, request_of
from messaging.template_models import AndroidChannelTemplate, ButtonTemplate, PushTemplate
from tests.api.conftest import Api
from tests.factories import make_application


def make_template(api: Api, **values: Any) -> PushTemplate:
    return PushTemplate.objects.create(
        application=api.account.application, **{"name": "welcome", "message": "Hello", **values}
    )


def published(api: Api) -> Message:
    return Message.objects.get(application=api.account.application)


def test_push_with_template_answers_scheduled_in_upper_case(api: Api) -> None:
    make_template(api)

    status, answer = api.post("/messaging/push/welcome", {})

    assert status == 200
    assert answer == {"errorMessage": None, "messageId": published(api).wire_id, "status": "SCHEDULED"}


def test_audience_is_the_templates_channel_and_platforms(api: Api) -> None:
    make_template(api, channel_name="news", platforms=["IOS", "ANDROID"])

    api.post("/messaging/push/welcome", {})

    request = request_of(published(api))
    assert request.channel_name == "news"
    assert set(request.target_oses() or ()) == {Os.IOS, Os.ANDROID}


def test_template_without_platforms_reaches_all(api: Api) -> None:
    make_template(api)

    api.post("/messaging/push/welcome", {})

    assert set(request_of(published(api)).target_oses() or ()) == set(Os)


def test_template_values_fill_text_and_headers(api: Api) -> None:
    make_template(
        api,
        name="my tpl",
        message="You are {age}",
        ios={"alertTitle": "Hi {name}"},
        android={"contentTitle": "Hi {name}", "customHeaders": {"years": "{age}"}},
    )

    status, _ = api.post("/messaging/push/my%20tpl", {"templateValues": {"name": "Bob", "age": 3}})

    message = published(api)
    android: Any = render_for(request_of(message), message.application, PushService.FCM, message.wire_id)
    ios: Any = render_for(request_of(message), message.application, PushService.APNS, message.wire_id)
    assert status == 200
    assert (android.title, android.text, android.data["years"]) == ("Hi Bob", "You are 3", "3")
    assert (ios.title, ios.body) == ("Hi Bob", "You are 3")


def test_saved_template_is_named_to_the_devices(api: Api) -> None:
    make_template(api, android={"deliveryPriority": "normal"})

    api.post("/messaging/push/welcome", {})

    message = published(api)
    android: Any = render_for(request_of(message), message.application, PushService.FCM, message.wire_id)
    ios: Any = render_for(request_of(message), message.application, PushService.APNS, message.wire_id)
    assert (android.data["template_name"], android.is_urgent) == ("welcome", False)
    assert (ios.custom["template_name"], ios.mutable_content) == ("welcome", True)


def test_editing_a_template_changes_no_push_under_way(api: Api) -> None:
    template = make_template(api, ios={"alertTitle": "Old"})
    api.post("/messaging/push/welcome", {})

    template.delete()

    message = published(api)
    ios: Any = render_for(request_of(message), message.application, PushService.APNS, message.wire_id)
    assert ios.title == "Old"


def test_unknown_template_is_error_5930(api: Api) -> None:
    status, answer = api.post("/messaging/push/nothing", {})

    assert (status, answer["code"]) == (400, 5930)


def test_template_of_another_application_is_unknown(api: Api) -> None:
    PushTemplate.objects.create(application=make_application("Other"), name="welcome")

    _, answer = api.post("/messaging/push/welcome", {})

    assert answer["code"] == 5930


def test_client_key_may_not_push(api: Api) -> None:
    make_template(api)

    status, answer = api.post("/messaging/push/welcome", {}, as_client=True)

    assert (status, answer["code"]) == (403, 5007)


def test_client_key_learns_nothing_of_templates_by_pushing(api: Api) -> None:
    status, answer = api.post("/messaging/push/nothing", {}, as_client=True)

    assert (status, answer["code"]) == (403, 5007)


def test_permission_is_judged_before_the_body_is_read(api: Api) -> None:
    make_template(api)

    assert api.post("/messaging/push/welcome", "no JSON", as_client=True)[1]["code"] == 5007


def test_template_value_that_is_no_text_is_refused(api: Api) -> None:
    make_template(api)

    status, answer = api.post("/messaging/push/welcome", {"templateValues": {"name": ["Bob"]}})

    assert (status, answer["code"]) == (400, 5901)
    assert "templateValues.name" in answer["message"]


def test_android_devices_get_templates_by_name_and_flat(api: Api) -> None:
    application = api.account.application
    AndroidChannelTemplate.objects.create(
        application=application,
        name="loud",
        options={"sound": "gong", "vibrate": [100, 50], "lightsColor": "#00FF00", "priority": 5},
    )
    ButtonTemplate.objects.create(
        application=application,
        platform="ANDROID",
        name="reply",
        buttons=[{"id": "Act", "title": "Reply", "options": 1}],
    )
    make_template(
        api,
        platforms=["ANDROID"],
        android={
            "contentTitle": "T",
            "colorCode": "#3E86C4",
            "cancel": {"after": 30, "ontap": False},
            "channelTemplate": "loud",
            "buttonTemplate": "reply",
        },
    )

    status, answer = api.get("/messaging/pushtemplates/android", as_client=True)

    assert status == 200
    assert answer == {
        "welcome": {
            "name": "welcome", "contentTitle": "T", "summarySubText": None, "badge": 0, "badgeNumber": 0,
            "showBadge": True, "priority": 5, "colorCode": 0x3E86C4, "lightsColor": 0x00FF00, "lightsOnMs": 0,
            "lightsOffMs": 0, "icon": None, "largeIcon": None, "attachmentUrl": None, "sound": "gong",
            "vibrate": [100, 50], "cancelOnTap": False, "cancelAfter": 30, "actionOnTap": None,
            "contentAvailable": 0, "customHeaders": {}, "actions": [{"id": "Act", "title": "Reply", "options": 1}],
        }
    }  # fmt: skip


def test_without_an_os_the_swift_sdk_gets_the_form_of_ios(api: Api) -> None:
    make_template(api, ios={"alertTitle": "T", "threadId": "t", "badge": 2})
    make_template(api, name="android only", platforms=["ANDROID"])

    _, answer = api.get("/messaging/pushtemplates")

    assert answer == {
        "welcome": {
            "name": "welcome", "alertTitle": "T", "alertSubtitle": None, "badge": 2, "sound": None,
            "attachmentUrl": None, "contentAvailable": 0, "mutableContent": 1, "threadId": "t",
            "summaryFormat": None, "customHeaders": {}, "actions": [],
        }
    }  # fmt: skip


def test_templates_of_an_unknown_os_are_refused(api: Api) -> None:
    status, answer = api.get("/messaging/pushtemplates/symbian")

    assert (status, answer["code"]) == (400, 5901)


def test_template_values_fill_the_segment_query(api: Api) -> None:
    make_template(api, segment_query="shop.city = '{city}' AND age >= '{age|18}'")

    api.post("/messaging/push/welcome", {"templateValues": {"city": "L'Aquila"}})

    assert published(api).segment_query == "shop.city = 'L''Aquila' AND age >= '18'"


def test_a_default_in_a_segment_query_may_hold_a_quote(api: Api) -> None:
    make_template(api, segment_query="city = '{city|L''Aquila}'")

    api.post("/messaging/push/welcome", {})

    assert published(api).segment_query == "city = 'L''Aquila'"


def test_segment_query_without_its_value_is_error_5913(api: Api) -> None:
    make_template(api, segment_query="age = '{age}'")

    status, answer = api.post("/messaging/push/welcome", {})

    assert (status, answer["code"]) == (400, 5913)
    assert "{age}" in answer["message"]
