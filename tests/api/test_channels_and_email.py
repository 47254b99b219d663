"""Deleting channels, and e-mail, which is refused in words (contract.md 3)."""

from __future__ import annotations

import pytest

from devices.models import Channel, DeviceRegistration
from messaging.models import Message
from tests.api.conftest import Api
from tests.factories import make_registration


def test_delete_channel_answers_null_and_keeps_devices_and_messages(api: Api) -> None:
    make_registration(api.account.application, channels=("news", "default"))
    api.post("/messaging/news", {"message": "Hi"})

    status, answer = api.delete("/messaging/channels/news")

    assert (status, answer) == (200, None)
    assert [channel.name for channel in Channel.objects.all()] == ["default"]
    assert DeviceRegistration.objects.count() == 1
    assert Message.objects.get().channel_name == "news"


def test_deleted_channel_can_be_published_to_again(api: Api) -> None:
    api.post("/messaging/news", {"message": "Hi"})
    api.delete("/messaging/channels/news")

    assert api.post("/messaging/news", {"message": "Hi"})[0] == 200
    assert make_registration(api.account.application, channels=("news",)).channels.get().name == "news"


def test_unknown_channel_is_error_5914(api: Api) -> None:
    status, answer = api.delete("/messaging/channels/news")

    assert (status, answer["code"]) == (400, 5914)


def test_default_channel_cannot_be_deleted(api: Api) -> None:
    api.post("/messaging/default", {"message": "Hi"})

    assert api.delete("/messaging/channels/Default")[1]["code"] == 5912
    assert Channel.objects.count() == 1


def test_client_key_may_not_delete_a_channel(api: Api) -> None:
    api.post("/messaging/news", {"message": "Hi"})

    assert api.delete("/messaging/channels/news", as_client=True)[1]["code"] == 5007


def test_email_is_not_supported_in_words(api: Api) -> None:
    body = {"subject": "s", "bodyparts": {"textmessage": "t", "htmlmessage": "h"}, "to": ["a@b.c"]}

    status, answer = api.post("/messaging/email", body)

    assert (status, answer["code"]) == (400, 5924)
    assert answer["message"] == "Sending e-mail is not supported; nothing was sent."


def test_email_template_does_not_exist_in_the_vendors_words(api: Api) -> None:
    status, answer = api.post("/emailtemplate/send", {"template-name": "nonexistent-template", "addresses": ["a@b.c"]})

    assert status == 400
    assert answer == {
        "code": 24002,
        "message": "Email Template with name 'nonexistent-template' doesn't exist.",
        "errorData": {},
    }


def test_an_email_without_a_template_is_told_so(api: Api) -> None:
    status, answer = api.post("/emailtemplate/send", {"addresses": ["a@b.c"]})

    assert (status, answer["code"]) == (400, 5901)
    assert "template-name" in answer["message"]


@pytest.mark.parametrize("path", ["/messaging/email", "/emailtemplate/send"])
def test_email_asked_for_with_a_dead_user_token_is_error_3064(api: Api, path: str) -> None:
    body = {"template-name": "welcome", "addresses": ["a@b.c"]}

    status, answer = api.post(path, body, **{"user-token": "dead"})

    assert (status, answer["code"]) == (400, 3064)
