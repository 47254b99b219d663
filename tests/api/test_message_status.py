"""Message status and cancelling (seed 0; contract.md 3)."""

from __future__ import annotations

import pytest

from messaging.models import Message, MessageStatus
from tests.api.conftest import Api
from tests.factories import make_account

LATER = {"message": "h", "publishAt": 1893477600000}


def _publish(api: Api) -> str:
    _, answer = api.post("/messaging/default", LATER)
    return str(answer["messageId"])


def test_status_of_a_scheduled_message(api: Api) -> None:
    message_id = _publish(api)

    assert api.get(f"/messaging/{message_id}") == (
        200,
        {"errorMessage": None, "messageId": message_id, "status": "SCHEDULED"},
    )


def test_an_id_is_taken_with_and_without_its_word_and_in_any_case(api: Api) -> None:
    message_id = _publish(api)
    bare = message_id.removeprefix("message:")

    for spelling in (bare, bare.lower(), message_id.replace(":", "%3A"), f"message:{bare.lower()}"):
        assert api.get(f"/messaging/{spelling}")[1]["messageId"] == message_id


@pytest.mark.parametrize("status", ["PUBLISHED", "CANCELLED", "FAILED"])
def test_status_answers_in_upper_case_with_the_reason_of_a_failure(api: Api, status: str) -> None:
    message_id = _publish(api)
    reason = "No credential for FCM." if status == "FAILED" else ""
    Message.objects.update(status=MessageStatus(status), error_message=reason)

    answer = api.get(f"/messaging/{message_id}")[1]

    assert (answer["status"], answer["errorMessage"]) == (status, reason or None)


@pytest.mark.parametrize("message_id", ["message:37C81F70-9B7B-4CF8-FF24-3690D9054F00", "BAD", "message:AAA"])
def test_an_unknown_id_has_status_unknown(api: Api, message_id: str) -> None:
    assert api.get(f"/messaging/{message_id}") == (
        200,
        {"errorMessage": None, "messageId": message_id, "status": "UNKNOWN"},
    )


def test_another_applications_message_answers_as_if_absent(api: Api) -> None:
    message_id = _publish(api)
    stranger = Api(make_account(), api.client)

    assert stranger.get(f"/messaging/{message_id}")[1]["status"] == "UNKNOWN"
    assert stranger.delete(f"/messaging/{message_id}")[1]["code"] == 5040
    assert api.get(f"/messaging/{message_id}")[1]["status"] == "SCHEDULED"


def test_cancel_answers_and_stays_cancelled(api: Api) -> None:
    message_id = _publish(api)

    expected = {"errorMessage": None, "messageId": message_id, "status": "CANCELLED"}
    assert api.delete(f"/messaging/{message_id}") == (200, expected)
    assert api.get(f"/messaging/{message_id}") == (200, expected)


def test_cancelling_twice_or_the_unknown_is_error_5040(api: Api) -> None:
    message_id = _publish(api)
    api.delete(f"/messaging/{message_id}")

    for gone in (message_id, "message:37C81F70-9B7B-4CF8-FF24-3690D9054F00", "BAD"):
        status, answer = api.delete(f"/messaging/{gone}")
        assert (status, answer["code"]) == (400, 5040)
        assert answer["message"] == "Message has already been canceled or does not exist."


def test_the_key_shipped_in_apps_may_not_cancel(api: Api) -> None:
    message_id = _publish(api)

    assert api.delete(f"/messaging/{message_id}", as_client=True)[1]["code"] == 5007
    assert api.get(f"/messaging/{message_id}", as_client=True)[1]["status"] == "SCHEDULED"
