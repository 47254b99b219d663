"""What subscribers ask for over the socket, and what they are refused: one by one, never the socket."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from devices import api_keys
from devices.models import ApiKey
from tests.factories import make_api_key
from tests.realtime.conftest import Live
from tests.realtime.live_client import LiveClient


def refusal(client: LiveClient, name: str, **options: object) -> int:
    """The code a SUB_ON is refused with."""
    call_id = client.call("SUB_ON", name, "", **options)
    event, argument = client.next_event()
    assert (event, argument["id"]) == ("SUB_RES", call_id)
    assert argument["error"]["message"]
    code: int = argument["error"]["code"]
    return code


@pytest.mark.parametrize("protocol", [3, 4])
def test_joining_a_channel_answers_sub_ready_and_connected(live: Live, protocol: int) -> None:
    client = live.client(protocol=protocol)

    client.subscribe("CONNECT")

    assert client.next_content() == "connected"


def test_a_subscriber_that_left_gets_nothing(live: Live) -> None:
    client = live.client()
    stopped = client.subscribe("MESSAGES", "news")
    client.subscribe("MESSAGES", "default")

    client.call("SUB_OFF", call_id=stopped)
    live.publish("first", "news")
    live.publish("second", "default")

    assert client.next_content()["message"] == "second"


def test_a_repeated_sub_on_with_the_same_id_delivers_once(live: Live) -> None:
    client = live.client()
    call_id = client.subscribe("MESSAGES")
    client.call("SUB_ON", "PUB_SUB_MESSAGES", call_id=call_id, channel="default")
    client.next_event()

    live.publish("hello")

    assert client.next_content()["message"] == "hello"
    assert client.is_silent()


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [("foo > 10", [20]), ("foo <> '20'", [5]), ("bar IS NULL", [20, 5]), ("NOT (bar = 1)", []), ("foo IN (5, 6)", [5])],
)
def test_a_selector_chooses_messages_by_their_headers(live: Live, selector: str, wanted: list[int]) -> None:
    client = live.client()
    chosen = client.subscribe("MESSAGES", selector=selector)
    everything = client.subscribe("MESSAGES")

    for foo in (20, 5):
        live.publish(foo, headers={"foo": foo})
    got: dict[str, list[int]] = {chosen: [], everything: []}
    while got[everything] != [20, 5]:
        _, argument = client.next_event()
        got[argument["id"]].append(argument["data"]["message"])

    assert got[chosen] == wanted


def test_a_bad_selector_is_refused_and_names_the_place(live: Live) -> None:
    client = live.client()
    call_id = client.call("SUB_ON", "PUB_SUB_MESSAGES", channel="default", selector="foo = 'a")

    event, argument = client.next_event()

    assert event == "SUB_RES"
    message = "Invalid selector at character 7: the quote is never closed."
    assert argument == {"id": call_id, "error": {"code": 5940, "message": message}}


def test_a_wrong_key_is_refused_subscription_by_subscription(live: Live) -> None:
    client = live.client(key="WRONG")

    assert refusal(client, "PUB_SUB_CONNECT", channel="default") == 2002
    assert refusal(client, "PUB_SUB_MESSAGES", channel="default") == 2002


def test_a_key_that_may_not_subscribe_is_refused(live: Live) -> None:
    _, key = make_api_key(live.account.application, may_subscribe=False)

    assert refusal(live.client(key=key), "PUB_SUB_MESSAGES", channel="default") == 5911


def test_a_revoked_key_loses_its_subscriptions_within_ten_seconds(live: Live) -> None:
    api_key, key = make_api_key(live.account.application)
    client = live.client(key=key)
    call_id = client.subscribe("MESSAGES")

    api_keys.revoke(ApiKey.objects.get(pk=api_key.pk))

    event, argument = client.next_event(12)
    assert (event, argument["id"], argument["error"]["code"]) == ("SUB_RES", call_id, 2002)
    live.publish("secret")
    assert client.is_silent()


@pytest.mark.parametrize(
    ("name", "channel", "code"),
    [("PUB_SUB_MESSAGES", "a/b", 5912), ("PUB_SUB_MESSAGES", "", 5912), ("OBJECTS_CHANGES", "default", 5941)],
)
def test_what_cannot_be_subscribed_to_is_refused(live: Live, name: str, channel: str, code: int) -> None:
    assert refusal(live.client(), name, channel=channel) == code


@pytest.mark.parametrize(
    ("name", "options"),
    [("RSO_CONNECT", {"name": "whiteboard"}), ("OBJECTS_CHANGES", {"tableName": "Orders", "event": "created"})],
    ids=["shared object", "changes of a table"],
)
def test_what_the_sdk_listens_to_beside_channels_is_not_supported_in_words(
    live: Live, name: str, options: dict[str, str]
) -> None:
    client = live.client()
    client.call_with("SUB_ON", {"id": "other", "name": name, "options": options})

    error = {"code": 5941, "message": f"{name} is not supported."}
    assert client.next_event() == ("SUB_RES", {"id": "other", "error": error})


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"channel": "default", "selector": 5}, "$.selector"),
        ({"channel": None}, "$.channel"),
        ({"channel": 5}, "$.channel"),
        ([], "Expected `object`"),
        (5, "Expected `object`"),
    ],
)
def test_an_option_of_the_wrong_type_is_refused_for_that_subscription_alone(
    live: Live, options: object, place: str
) -> None:
    client = live.client()
    client.subscribe("MESSAGES")
    client.call_with("SUB_ON", {"id": "wrong", "name": "PUB_SUB_MESSAGES", "options": options})

    event, argument = client.next_event()

    assert (event, argument["id"], argument["error"]["code"]) == ("SUB_RES", "wrong", 5901)
    assert place in argument["error"]["message"]
    live.publish("hello")
    assert client.next_content()["message"] == "hello"


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00"])
def test_half_an_emoji_does_not_end_the_session(live: Live, half: str) -> None:
    """Scripts send it where they cut a text; the SDK would send it again over every new connection."""
    client = live.client()
    client.subscribe("COMMANDS")
    options = f'{{"channel": "default", "type": "chat", "data": "tea {half}"}}'

    client.send(f'42{client.namespace},["MET_REQ", {{"id": "half", "name": "PUB_SUB_COMMAND", "options": {options}}}]')

    answers = dict(client.next_event() for _ in range(2))
    assert answers["MET_RES"] == {"id": "half", "result": None}
    assert answers["SUB_RES"]["data"]["data"] == "tea \ufffd"


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [
        ("SET_USER_TOKEN", {"userToken": 5}, "5901"),
        ("PUB_SUB_COMMAND", {"channel": None}, "5901"),
        ("PUB_SUB_COMMAND", {"channel": "default", "type": 5}, "5901"),
        (5, {}, "5941"),
    ],
)
def test_a_method_called_with_the_wrong_types_is_answered_with_an_error(
    live: Live, name: object, options: object, code: str
) -> None:
    client = live.client()
    client.call_with("MET_REQ", {"id": "wrong", "name": name, "options": options})

    event, argument = client.next_event()

    assert (event, argument["id"], argument["error"]["code"]) == ("MET_RES", "wrong", code)
    client.subscribe("MESSAGES")


def test_commands_beyond_the_pace_of_a_connection_are_refused(live: Live) -> None:
    client, other = live.client(), live.client()
    for _ in range(150):
        client.call("MET_REQ", "PUB_SUB_COMMAND", channel="default", type="x", data=1)
    answers = [client.next_event() for _ in range(150)]

    refused = [argument["error"]["code"] for event, argument in answers if event == "MET_RES" and "error" in argument]
    assert set(refused) == {"5906"}
    assert all("error" not in argument for _, argument in answers[:50])
    other.call("MET_REQ", "PUB_SUB_COMMAND", channel="default", type="x", data=1)
    assert "error" not in other.next_event()[1]


def test_more_subscriptions_than_a_connection_takes_are_refused(live: Live) -> None:
    client = live.client()
    for _ in range(500):
        client.subscribe("MESSAGES")

    assert refusal(client, "PUB_SUB_MESSAGES", channel="default") == 5906


def test_an_unknown_method_is_answered_with_an_error(live: Live) -> None:
    client = live.client()
    call_id = client.call("MET_REQ", "RSO_GET")

    event, argument = client.next_event()

    assert (event, argument["id"], argument["error"]["code"]) == ("MET_RES", call_id, "5941")


def test_setting_a_user_token_is_answered(live: Live) -> None:
    client = live.client()
    call_id = client.call("MET_REQ", "SET_USER_TOKEN", userToken=None)

    assert client.next_event() == ("MET_RES", {"id": call_id, "result": None})


def test_a_client_that_sends_rubbish_is_cut_off_alone(live: Live) -> None:
    rude, polite = live.client(), live.client()
    polite.subscribe("MESSAGES")

    rude.send("42{not json")

    rude.wait_until_closed()
    live.publish("hello")
    assert polite.next_content()["message"] == "hello"


@pytest.mark.parametrize("spelling", [str.lower, str.upper])
def test_the_application_id_is_taken_in_any_letter_case(live: Live, spelling: Callable[[str], str]) -> None:
    client = LiveClient(live.stack.socket_url, spelling(live.application_id), live.account.key)
    live.open_clients.append(client)
    client.subscribe("MESSAGES")

    live.publish("hello")

    assert client.next_content()["message"] == "hello"
