"""Long polling byte by byte, as recorded from the SDKs: Engine.IO 4 (SDK 8) and 3 (SDK 6, 7, Swift)."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from tests.realtime.conftest import Live
from tests.realtime.live_client import LiveClient
from tests.realtime.poller import Poller


@pytest.fixture
def poller(live: Live) -> Callable[[int], Poller]:
    """A poller of a protocol revision."""
    return lambda protocol: Poller(live, protocol)


def test_revision_4_opens_joins_subscribes_and_receives(poller: Callable[[int], Poller], live: Live) -> None:
    client, namespace = poller(4), f"/{live.application_id}"
    handshake = json.loads(client.poll().removeprefix("0"))
    client.sid = handshake.pop("sid")

    client.post(f"40{namespace},")
    joined = client.poll()
    call = {"id": "a1", "name": "PUB_SUB_MESSAGES", "options": {"channel": "default"}}
    client.post(f"42{namespace}," + json.dumps(["SUB_ON", call]))
    ready = client.poll()
    live.publish("ä€😀")
    message = client.poll()

    assert handshake == {"upgrades": ["websocket"], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 100000}
    assert joined.startswith(f'40{namespace},{{"sid":"')
    assert ready == f'42{namespace},["SUB_READY",{{"id":"a1"}}]'
    name, argument = json.loads(message.removeprefix(f"42{namespace},"))
    assert (name, argument["id"], argument["data"]["message"]) == ("SUB_RES", "a1", "ä€😀")


def test_revision_3_frames_packets_by_their_length_in_utf_16(poller: Callable[[int], Poller], live: Live) -> None:
    client, namespace = poller(3), f"/{live.application_id}"
    opened = client.poll()
    length, _, rest = opened.partition(":")
    client.sid = json.loads(rest[1 : int(length)])["sid"]

    def post(packet: str) -> None:
        client.post(f"{len(packet.encode('utf-16-le')) // 2}:{packet}")

    post(f"40{namespace}?apiKey={live.account.key}&clientId=x&userToken=null,")
    joined = client.poll()
    call = {"id": "a1", "name": "PUB_SUB_CONNECT", "options": {"channel": "😀"}}
    post(f"42{namespace}," + json.dumps(["SUB_ON", call], ensure_ascii=False))
    ready = client.poll()
    post("2")
    pong = client.poll()

    assert rest[int(length) :] == "2:40"
    assert joined == f"{len(namespace) + 3}:40{namespace},"
    assert ready.count('"id":"a1"') == 2
    assert pong == "1:3"


def test_a_client_that_names_no_revision_speaks_the_third(live: Live) -> None:
    """socket.io-client-swift up to version 15, which the Swift SDK was built on before 16 named revisions."""
    client = Poller(live, 3, names_revision=False)
    _, _, rest = client.poll().partition(":0")
    client.sid = json.JSONDecoder().raw_decode(rest)[0]["sid"]
    client.post("1:2")

    assert rest.endswith("}2:40")
    assert client.poll() == "1:3"


def test_several_packets_in_one_post_are_separated_by_0x1e(poller: Callable[[int], Poller], live: Live) -> None:
    client, namespace = poller(4), f"/{live.application_id}"
    client.sid = json.loads(client.poll()[1:])["sid"]
    call = {"id": "a1", "name": "PUB_SUB_CONNECT", "options": {"channel": "default"}}

    client.post(f"40{namespace},\x1e42{namespace}," + json.dumps(["SUB_ON", call]))
    received = client.poll()
    while received.count("\x1e") < 2:
        received += "\x1e" + client.poll()

    assert '"SUB_READY"' in received
    assert '"data":"connected"' in received


def test_an_unknown_session_is_error_1(poller: Callable[[int], Poller]) -> None:
    client = poller(4)
    client.sid = "unknown"

    assert client.request("GET") == (400, '{"code":1,"message":"Session ID unknown"}')


@pytest.mark.parametrize(
    ("query", "code"), [({"EIO": "2"}, 5), ({"transport": "flash"}, 0), ({"transport": "websocket"}, 3)]
)
def test_a_request_that_makes_no_sense_is_refused(
    poller: Callable[[int], Poller], query: dict[str, str], code: int
) -> None:
    status, body = poller(4).request("GET", None, **query)

    assert (status, json.loads(body)["code"]) == (400, code)


def test_polling_answers_may_be_read_by_pages_of_any_origin(poller: Callable[[int], Poller]) -> None:
    client = poller(4)
    client.poll()

    assert client.headers is not None
    assert client.headers["Access-Control-Allow-Origin"] == "*"
    assert client.request("OPTIONS")[0] == 204


def test_a_second_poll_ends_the_first(poller: Callable[[int], Poller]) -> None:
    client = poller(4)
    client.sid = json.loads(client.poll()[1:])["sid"]
    answers: list[str] = []
    first = threading.Thread(target=lambda: answers.append(client.poll()))
    second = threading.Thread(target=lambda: answers.append(client.poll()))

    first.start()
    second.start()
    while not answers:
        first.join(0.01)

    assert answers == ["6"]
    client.request("POST", b"1")
    first.join(5)
    second.join(5)


def test_a_closed_session_is_gone(poller: Callable[[int], Poller]) -> None:
    client = poller(4)
    client.sid = json.loads(client.poll()[1:])["sid"]

    client.post("1")

    assert client.request("GET")[0] == 400


def test_a_body_over_the_limit_is_413(poller: Callable[[int], Poller]) -> None:
    client = poller(4)
    client.sid = json.loads(client.poll()[1:])["sid"]

    assert client.request("POST", b"x" * 200_000)[0] == 413


def test_a_namespace_of_another_application_is_refused(live: Live) -> None:
    client = live.client()

    client.send("40/somebody-else,")

    assert client.next_packet() == '44/somebody-else,{"message":"Invalid namespace"}'


@pytest.mark.parametrize("written", ["/{0}", "{0}/", "{0}" + "/" * 7_000, "{0}?apiKey=x"])
def test_a_namespace_is_the_application_and_nothing_else(
    poller: Callable[[int], Poller], live: Live, written: str
) -> None:
    client, namespace = poller(4), "/" + written.format(live.application_id)
    client.sid = json.loads(client.poll()[1:])["sid"]

    client.post(f"40{namespace},")

    assert client.poll() == f'44{namespace.partition("?")[0]},{{"message":"Invalid namespace"}}'


def test_an_application_written_at_length_is_refused(live: Live) -> None:
    client = Poller(live, 4)
    client.application = live.application_id + "-" * 5_000
    client.sid = json.loads(client.poll()[1:])["sid"]

    client.post(f"40/{client.application},")

    assert client.poll().startswith("44/")


def test_a_path_without_eio_is_not_found_in_the_words_of_rest(live: Live) -> None:
    url = f"{live.stack.socket_url}/{live.application_id}/"

    with pytest.raises(urllib.error.HTTPError, match="404") as answer:
        urllib.request.urlopen(url, timeout=10)

    with answer.value as refusal:
        assert json.load(refusal) == {"code": 5904, "message": "There is nothing at this address.", "errorData": {}}


def test_a_websocket_ping_is_answered(live: Live) -> None:
    client: LiveClient = live.client(protocol=3)

    client.send("2")

    assert client.next_packet() == "3"
