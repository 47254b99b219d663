"""The control port and the request log, over HTTP as people and scripts use them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from messaging.simulators.accounts import demo_token, token_in_log
from tests.messaging.simulator_clients import Client, Response, running_simulators

TOKEN = demo_token("fcm", 1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running_simulators(tmp_path_factory.mktemp("control")) as client:
        yield client


@pytest.fixture
def client(running: Client) -> Iterator[Client]:
    running.simulators.reset()
    yield running


def control(client: Client, method: str, path: str, content: object = None) -> Response:
    body = b"" if content is None else json.dumps(content).encode()
    return client.request(method, client.urls["control"] + path, {}, body, http1=True)


def lines(answer: Response) -> list[dict]:
    return [json.loads(line) for line in answer.body.splitlines()]


def test_an_entry_holds_what_was_sent_and_how_it_was_judged(client: Client) -> None:
    client.send_apns(demo_token("apns", 1, "dead"), apns_collapse_id="message:1")

    entry = client.simulators.requests()[0]
    assert (entry["service"], entry["token"]) == ("apns", demo_token("apns", 1, "dead"))
    assert (entry["status"], entry["reason"], entry["http"]) == (410, "Unregistered", "2")
    assert entry["headers"]["apns-collapse-id"] == "message:1"
    assert entry["notification"] == {"aps": {"alert": "hello"}}


def test_the_log_never_holds_an_authorization(client: Client) -> None:
    client.fcm_to(TOKEN)

    assert client.simulators.requests()[0]["headers"]["authorization"].startswith("sha256:")
    assert client.access_token("fcm") not in Path(client.urls["log_file"]).read_text()


@pytest.mark.parametrize("push_service", ["fcm", "apns", "wns", "webpush"])
def test_a_device_token_is_found_again_in_the_log(client: Client, push_service: str) -> None:
    token = client.simulators.token(push_service, 4)
    send = {"fcm": client.fcm_to, "apns": client.send_apns, "wns": client.send_wns}.get(push_service)
    send(token) if send else client.send_webpush(json.loads(token))

    assert [entry["token"] for entry in client.simulators.requests()] == [token_in_log(token)]


def test_requests_since_lists_the_newer_ones(client: Client) -> None:
    for _ in range(3):
        client.fcm_to(TOKEN)
    everything = lines(control(client, "GET", "/requests"))

    newer = lines(control(client, "GET", f"/requests?since={everything[0]['seq']}&limit=1"))

    assert len(everything) == 3
    assert newer == [everything[1]]


def test_requests_since_a_word_is_refused(client: Client) -> None:
    assert control(client, "GET", "/requests?since=yesterday").status == 400


def test_counts_add_up_answers_per_service(client: Client) -> None:
    client.fcm_to(TOKEN)
    client.fcm_to(demo_token("fcm", 1, "dead"))

    assert control(client, "GET", "/counts").json()["services"]["fcm"] == {"200": 1, "404 UNREGISTERED": 1}


def test_reset_empties_counts_and_listing_but_not_the_file(client: Client) -> None:
    client.fcm_to(TOKEN)
    size = len(client.simulators.requests()) and Path(client.urls["log_file"]).stat().st_size

    answer = control(client, "POST", "/reset")

    assert answer.status == 200
    assert control(client, "GET", "/requests").body == b""
    assert control(client, "GET", "/counts").json()["services"]["fcm"] == {}
    assert Path(client.urls["log_file"]).stat().st_size == size > 0


def test_a_mode_is_posted_and_ends_with_a_reset(client: Client) -> None:
    posted = control(client, "POST", "/mode", {"service": "fcm", "mode": "429-20"})
    during = client.fcm_to(TOKEN)
    control(client, "POST", "/reset")

    assert posted.json()["fcm"]["mode"] == "429-20"
    assert (during.status, during.headers["retry-after"]) == (429, "20")
    assert client.fcm_to(TOKEN).status == 200


@pytest.mark.parametrize(
    "content",
    [
        {"service": "gcm", "mode": "500"},
        {"service": "fcm", "mode": "explode"},
        {"service": "fcm", "mode": "500", "often": 3},
        {"service": "fcm", "every": 0},
        {"service": "fcm", "latency_ms": -1},
        [],
    ],
)
def test_a_mode_that_is_none_is_refused_with_a_sentence(client: Client, content: object) -> None:
    answer = control(client, "POST", "/mode", content)

    assert answer.status == 400
    assert answer.json()["error"]


def test_the_control_port_explains_itself(client: Client) -> None:
    assert b"POST /mode" in control(client, "GET", "/").body


def test_an_unknown_path_is_404(client: Client) -> None:
    assert control(client, "GET", "/nowhere").status == 404
