"""Logged-in users over the socket: who they are to others, and what their roles let them listen to."""

from __future__ import annotations

from devices import app_users
from devices.app_users import LoggedIn
from devices.channels import ensure_channels
from devices.user_models import Decision, Operation, Role, RolePermission
from tests.realtime.conftest import Live
from tests.realtime.live_client import LiveClient


def guest(live: Live) -> LoggedIn:
    return app_users.register_guest(live.account.application)


def say(live: Live, role_name: str, decision: Decision, channel_name: str) -> Role:
    """Have a role grant or deny listening to a channel."""
    role, _ = Role.objects.get_or_create(application=live.account.application, name=role_name)
    (channel,) = ensure_channels(live.account.application, [channel_name])
    RolePermission.objects.create(role=role, channel=channel, operation=Operation.SUBSCRIBE, decision=decision)
    return role


def answer(client: LiveClient, channel: str) -> object:
    """ "ready", or the code a subscription to the channel is refused with."""
    client.call("SUB_ON", "PUB_SUB_MESSAGES", channel=channel)
    name, argument = client.next_event()
    return "ready" if name == "SUB_READY" else argument["error"]["code"]


def test_others_see_who_is_logged_in(live: Live) -> None:
    somebody = guest(live)
    client = live.client(user_token=somebody.token)
    client.subscribe("CONNECT")
    client.next_content()
    client.subscribe("USERS")
    people = client.next_content()["data"]
    client.subscribe("COMMANDS")
    client.call("MET_REQ", "PUB_SUB_COMMAND", channel="default", type="T")

    events = dict([client.next_event(), client.next_event()])

    assert [person["userId"] for person in people] == [somebody.user.object_id]
    assert events["SUB_RES"]["data"]["userId"] == somebody.user.object_id


def test_a_login_on_an_open_socket_is_a_user_update(live: Live) -> None:
    somebody, watcher, client = guest(live), live.client(), live.client()
    client.subscribe("CONNECT")
    client.next_content()
    watcher.subscribe("USERS")
    (before,) = watcher.next_content()["data"]

    call_id = client.call("MET_REQ", "SET_USER_TOKEN", userToken=somebody.token)
    answered = client.next_event()
    update = watcher.next_content()

    assert before["userId"] is None
    assert answered == ("MET_RES", {"id": call_id, "result": None})
    assert update == {"status": "USERUPDATE", "data": [{**before, "userId": somebody.user.object_id}]}


def test_a_dead_user_token_is_refused_subscription_by_subscription(live: Live) -> None:
    assert answer(live.client(user_token="DEAD"), "default") == 3064


def test_setting_a_dead_user_token_is_an_error_and_ends_what_was_granted(live: Live) -> None:
    client = live.client()
    subscription_id = client.subscribe("MESSAGES")
    call_id = client.call("MET_REQ", "SET_USER_TOKEN", userToken="DEAD")

    ended, answered = client.next_event(), client.next_event()

    assert (ended[0], ended[1]["id"], ended[1]["error"]["code"]) == ("SUB_RES", subscription_id, 3064)
    assert (answered[0], answered[1]["id"], answered[1]["error"]["code"]) == ("MET_RES", call_id, "3064")


def test_a_channel_denied_to_a_role_is_refused_to_its_members_alone(live: Live) -> None:
    banned, other = guest(live), guest(live)
    say(live, "banned", Decision.DENY, "news").members.add(banned.user)

    client = live.client(user_token=banned.token)

    assert answer(client, "news") == 5911
    assert answer(client, "default") == "ready"
    assert answer(live.client(user_token=other.token), "news") == "ready"


def test_logging_out_loses_what_only_the_user_was_granted(live: Live) -> None:
    member = guest(live)
    say(live, "NotAuthenticatedUser", Decision.DENY, "club")
    client = live.client(user_token=member.token)
    subscription_id = client.subscribe("MESSAGES", "club")

    client.call("MET_REQ", "SET_USER_TOKEN", userToken=None)

    name, argument = client.next_event()
    assert (name, argument["id"], argument["error"]["code"]) == ("SUB_RES", subscription_id, 5911)
