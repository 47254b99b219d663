"""A call that is too much is refused by itself and the session lives on: an SDK would send it again, for ever."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from messaging.realtime.incoming import ENDS, ROOM, Body, Incoming
from tests.realtime.conftest import Live
from tests.realtime.live_client import LiveClient
from tests.realtime.poller import Poller

LONG = "x" * 150_000
MEBIBYTE = 1024 * 1024


def in_javascript(call_id: str, data: object) -> dict[str, object]:
    """A command with its keys in the order of the JavaScript SDKs."""
    options = {"channel": "default", "type": "chat", "data": data}
    return {"id": call_id, "name": "PUB_SUB_COMMAND", "options": options}


def in_swift(call_id: str, data: object) -> dict[str, object]:
    """The same as Swift may write it: the id last."""
    call = in_javascript(call_id, data)
    return {"options": call["options"], "id": call["id"], "name": call["name"]}


def check_refusal(client: LiveClient, call_id: str, code: str = "5901") -> None:
    event, argument = client.next_event(20)
    assert (event, argument["id"], argument["error"]["code"]) == ("MET_RES", call_id, code)


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("written", [in_javascript, in_swift])
@pytest.mark.parametrize("length", [99_000, 150_000, 3 * MEBIBYTE])
def test_a_command_of_any_length_is_refused_by_itself(
    live: Live, protocol: int, written: Callable[[str, object], object], length: int
) -> None:
    client = live.client(protocol=protocol)
    client.subscribe("MESSAGES")

    client.call_with("MET_REQ", written("long", {"id": "another", "text": "x" * length}))

    check_refusal(client, "long")
    live.publish("hello")
    assert client.next_content()["message"] == "hello"


def test_a_subscription_that_is_too_long_is_refused_by_itself(live: Live) -> None:
    client = live.client()

    call_id = client.call("SUB_ON", "PUB_SUB_MESSAGES", channel="default", selector="a = '" + LONG + "'")

    event, argument = client.next_event()
    assert (event, argument["id"], argument["error"]["code"]) == ("SUB_RES", call_id, 5901)
    client.subscribe("MESSAGES")


def test_a_message_without_end_ends_the_session(live: Live) -> None:
    client = live.client()

    with pytest.raises(ConnectionError):
        for _ in range(100):
            client.call_with("MET_REQ", "x" * 17 * MEBIBYTE)


def test_a_wrong_key_is_the_reason_however_long_the_call(live: Live) -> None:
    client = live.client(key="WRONG")

    client.call_with("MET_REQ", in_javascript("long", "x" * 20_000))

    check_refusal(client, "long", "2002")
    client.call("SUB_ON", "PUB_SUB_MESSAGES", channel="default")
    assert client.next_event()[1]["error"]["code"] == 2002


@pytest.mark.parametrize("depth", [300, 900, 960, 970, 980, 985, 990, 995, 1_000, 3_000])
def test_a_call_nested_at_any_depth_is_answered(live: Live, depth: int) -> None:
    client = live.client()

    call = json.dumps(in_javascript("deep", 0)).replace('"data": 0', '"data": ' + "[" * depth + "]" * depth)
    client.send(f'42{client.namespace},["MET_REQ", {call}]')

    event, argument = client.next_event()
    assert (event, argument["id"]) == ("MET_RES", "deep")
    client.subscribe("MESSAGES")


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_thousand_commands_at_once_are_answered_one_by_one(live: Live, protocol: int) -> None:
    """What an SDK kept while it was offline."""
    client = live.client(protocol=protocol)
    for number in range(1_000):
        client.call_with("MET_REQ", in_javascript(f"{number}", number))

    answers = [client.next_event(20) for _ in range(1_000)]

    assert {argument["id"] for _, argument in answers} == {f"{number}" for number in range(1_000)}
    client.subscribe("MESSAGES")


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_file_beside_a_call_is_refused_by_itself(live: Live, protocol: int) -> None:
    client = live.client(protocol=protocol)
    call = in_javascript("file", {"_placeholder": True, "num": 0})

    client.send(f"451-{client.namespace}," + json.dumps(["MET_REQ", call]))
    client.socket.sendall(bytes((0x82, 0x81, 0, 0, 0, 0, 7)))

    check_refusal(client, "file")
    client.subscribe("MESSAGES")


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_long_command_in_a_post_is_refused_and_its_neighbours_are_taken(live: Live, protocol: int) -> None:
    poller = Poller.joined(live, protocol)
    call = {"id": "beside", "name": "PUB_SUB_MESSAGES", "options": {"channel": "default"}}

    poller.post_packets(
        poller.event("MET_REQ", in_javascript("long", LONG + "ä😀")),
        poller.event("MET_REQ", in_swift("longer", "y" * 3 * MEBIBYTE)),
        poller.event("SUB_ON", call),
    )

    heard = poller.poll_until('"SUB_READY",{"id":"beside"}')
    for call_id in ("long", "longer"):
        assert f'["MET_RES",{{"id":"{call_id}","error":{{"code":"5901"' in heard


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_file_beside_a_call_in_a_post_is_refused_by_itself(live: Live, protocol: int) -> None:
    poller = Poller.joined(live, protocol)
    call = json.dumps(["MET_REQ", in_javascript("file", {"_placeholder": True, "num": 0})])
    packet = f"451-/{live.application_id},{call}".encode()
    length = bytes(map(int, str(len(packet))))

    sent = packet + b"\x1ebAQID" if protocol >= 4 else b"\0" + length + b"\xff" + packet + b"\1\4\xff\4\1\2\3"
    assert poller.request("POST", sent) == (200, "ok")

    assert '["MET_RES",{"id":"file","error":{"code":"5901"' in poller.poll_until("MET_RES")
    poller.post_packets(poller.event("MET_REQ", in_javascript("next", 1)))
    poller.poll_until('["MET_RES",{"id":"next","result":null}]')


@pytest.mark.parametrize("protocol", [3, 4])
def test_many_calls_in_one_post_are_all_answered(live: Live, protocol: int) -> None:
    """SDK 7 sends whatever waited by one POST."""
    poller = Poller.joined(live, protocol)
    calls = [in_javascript(f"call-{number}", "x" * 100) for number in range(1_500)]

    poller.post_packets(*(poller.event("MET_REQ", call) for call in calls))

    heard = poller.poll_until('"id":"call-1499"', '"id":"call-599"')
    while heard.count('"MET_RES"') < 1_500:
        heard += poller.poll()


def test_many_subscriptions_of_a_wrong_key_in_one_post_are_all_refused(live: Live) -> None:
    poller = Poller.joined(live, 3, "WRONG")
    call = {"name": "PUB_SUB_MESSAGES", "options": {"channel": "default"}}

    poller.post_packets(*(poller.event("SUB_ON", {"id": f"sub-{number}", **call}) for number in range(100)))

    heard = poller.poll_until('"id":"sub-99"')
    while heard.count('"code":2002') < 100:
        heard += poller.poll()


def test_a_post_without_end_is_413(live: Live) -> None:
    poller = Poller.joined(live, 4)

    assert poller.request("POST", b"4" + b"x" * 17 * MEBIBYTE)[0] == 413


@pytest.mark.parametrize("protocol", [3, 4])
def test_what_is_discarded_is_not_kept(protocol: int) -> None:
    body = Body(protocol, ROOM)
    body.add(b"16000000:4" if protocol < 4 else b"4")
    for _ in range(150):
        body.add(b"x" * 100_000)

    assert body.held <= 2 * ENDS


def test_both_ends_of_a_long_message_are_kept_whatever_its_pieces() -> None:
    message = Incoming(2_000)
    for number in range(10_000):
        message.add(f"{number:04}".encode())

    assert message.is_cut
    assert message.start[:8] == b"00000001"
    assert (message.end[-8:], len(message.start), len(message.end)) == (b"99989999", ENDS, ENDS)
