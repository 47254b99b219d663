"""What the simulators do to connections: stream limits, GOAWAY, resets, hangs; seen frame by frame."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import pycurl
import pytest
from h2.events import ConnectionTerminated, RemoteSettingsChanged, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes

from messaging.simulators.accounts import demo_token
from tests.messaging.simulator_clients import Client, FrameClient, running_simulators

MAX_STREAMS = SettingCodes.MAX_CONCURRENT_STREAMS


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running_simulators(tmp_path_factory.mktemp("http2")) as client:
        yield client


@pytest.fixture
def client(running: Client) -> Iterator[Client]:
    yield running
    running.simulators.reset()


@pytest.fixture
def frames(client: Client) -> Iterator[FrameClient]:
    connection = FrameClient(client)
    yield connection
    connection.close()


def limits_seen(frames: FrameClient) -> list[int]:
    changes = [event.changed_settings for event in frames.of(RemoteSettingsChanged)]
    return [changed[MAX_STREAMS].new_value for changed in changes if MAX_STREAMS in changed]


def test_apns_allows_one_stream_until_a_valid_token_was_seen(frames: FrameClient) -> None:
    frames.wait_for(RemoteSettingsChanged)
    before = limits_seen(frames)

    frames.open(demo_token("apns", 1))
    frames.wait_for(StreamEnded)

    assert before == [1]
    assert limits_seen(frames) == [1, 1000]


def test_a_refused_token_opens_no_more_streams(frames: FrameClient) -> None:
    frames.open(demo_token("apns", 1), authorization="bearer a.b.c")
    frames.wait_for(StreamEnded)

    assert limits_seen(frames) == [1]


def test_streams_opened_before_the_limit_was_known_are_answered(frames: FrameClient) -> None:
    for n in range(20):
        frames.open(demo_token("apns", n))

    assert len(frames.wait_for(StreamEnded, 20)) == 20


def test_a_lowered_limit_reaches_open_connections(client: Client, frames: FrameClient) -> None:
    frames.open(demo_token("apns", 1))
    frames.wait_for(StreamEnded)
    client.simulators.set_mode("apns", max_streams=7)
    frames.wait_for(RemoteSettingsChanged, 3)

    assert limits_seen(frames) == [1, 1000, 7]


def test_goaway_names_the_last_stream_and_later_ones_are_not_processed(client: Client, frames: FrameClient) -> None:
    client.simulators.set_mode("apns", goaway_every=3, one_stream_first=False)
    tokens = [demo_token("apns", n) for n in range(5)]
    for token in tokens:
        frames.open(token)
    goaway = frames.wait_for(ConnectionTerminated)[0]

    answered = [event.stream_id for event in frames.of(ResponseReceived)]
    logged = [entry["token"] for entry in client.simulators.requests()]
    assert (goaway.last_stream_id, goaway.error_code, goaway.additional_data) == (5, 0, b'{"reason":"Shutdown"}')
    assert answered == [1, 3, 5]
    assert logged == tokens[:3]


def test_an_undrained_goaway_leaves_processed_streams_without_answer(client: Client, frames: FrameClient) -> None:
    client.simulators.set_mode("apns", goaway_every=2, drain=False, latency_ms=200)
    for n in range(2):
        frames.open(demo_token("apns", n))
    frames.wait_for_close()

    assert frames.of(ConnectionTerminated)[0].last_stream_id == 3
    assert frames.of(ResponseReceived) == []
    assert [entry["status"] for entry in client.simulators.requests()] == [200, 200]


def test_libcurl_loses_nothing_to_goaways(client: Client) -> None:
    client.simulators.set_mode("apns", goaway_every=3)
    tokens = [demo_token("apns", n) for n in range(10)]

    statuses = [client.send_apns(token).status for token in tokens]

    assert statuses == [200] * 10
    assert [entry["token"] for entry in client.simulators.requests()] == tokens


def test_a_reset_request_was_read_and_is_logged(client: Client, frames: FrameClient) -> None:
    frames.open(demo_token("apns", 1, "reset"))
    frames.wait_for(StreamReset)

    entry = client.simulators.requests()[-1]
    assert (entry["status"], entry["reason"]) == (0, "reset")


def test_a_hung_request_leaves_other_streams_alone_and_is_logged(client: Client, frames: FrameClient) -> None:
    hung = frames.open(demo_token("apns", 1, "hang"))
    lively = frames.open(demo_token("apns", 2))
    frames.wait_for(StreamEnded)

    assert [event.stream_id for event in frames.of(ResponseReceived)] == [lively]
    assert hung != lively
    assert client.simulators.requests()[0]["reason"] == "hang"


def test_a_cut_takes_the_whole_connection(client: Client) -> None:
    answer = client.send_apns(demo_token("apns", 1, "cut"))

    assert answer.curl_error in (pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR)
    assert client.simulators.requests()[-1]["reason"] == "cut"


def test_answers_for_a_client_that_has_gone_are_not_written(
    client: Client, frames: FrameClient, caplog: pytest.LogCaptureFixture
) -> None:
    frames.open(demo_token("apns", 1))  # APNs takes one request alone first
    frames.wait_for(StreamEnded)
    for n in range(2, 22):
        frames.open(demo_token("apns", n, f"slow-{200 + 10 * n}"))
    frames.wait_for(ResponseReceived, 2)
    frames.close()
    client.send_apns(demo_token("apns", 30, "slow-600"))  # while the others' answers come due

    assert [record.message for record in caplog.records] == []


def test_a_megabyte_answer_obeys_the_clients_windows(client: Client) -> None:
    assert len(client.send_apns(demo_token("apns", 1, "huge")).body) > 1_000_000


def test_a_body_far_over_every_limit_is_judged_before_its_end(client: Client) -> None:
    answer = client.send_apns(demo_token("apns", 1), b"x" * 5_000_000)

    assert (answer.status, answer.json()["reason"]) == (413, "PayloadTooLarge")
    assert [entry["status"] for entry in client.simulators.requests()] == [413]


def test_http_1_keeps_its_connection_for_several_requests(client: Client) -> None:
    channel = urlsplit(client.simulators.token("wns", 1))
    context = ssl.create_default_context(cafile=client.simulators.ca_file)
    connection = HTTPSConnection("localhost", channel.port, context=context, timeout=5)
    headers = {"Authorization": f"Bearer {client.access_token('wns')}", "Content-Type": "text/xml"}

    for _ in range(3):
        connection.request("POST", channel.path, "<toast/>", {**headers, "X-WNS-Type": "wns/toast"})
        assert connection.getresponse().read() == b""
    connection.close()

    assert len({entry["connection"] for entry in client.simulators.requests()}) == 1


@pytest.mark.parametrize("http1", [True, False])
def test_a_head_request_is_answered_without_a_body(client: Client, http1: bool) -> None:
    answer = client.request("HEAD", client.urls["control"] + "/", http1=http1)

    assert (answer.status, answer.body) == (200, b"")


def test_an_awaited_100_continue_comes(client: Client) -> None:
    headers = {"authorization": f"Bearer {client.access_token('wns')}", "content-type": "text/xml"}
    channel = client.simulators.token("wns", 1)
    began = time.monotonic()

    answer = client.post(
        channel, {**headers, "x-wns-type": "wns/toast", "expect": "100-continue"}, b"<toast/>", http1=True
    )

    assert answer.status == 200
    assert time.monotonic() - began < 0.9  # libcurl sends the body after a second without an answer


def test_malformed_http_1_is_answered_400_and_closed(client: Client) -> None:
    channel = urlsplit(client.urls["wns"])
    context = ssl.create_default_context(cafile=client.simulators.ca_file)
    connection = HTTPSConnection("localhost", channel.port, context=context, timeout=5)
    connection.connect()
    connection.sock.sendall(b"NONSENSE\r\n\r\n")

    assert connection.sock.recv(100).startswith(b"HTTP/1.1 400")
    connection.close()


@pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load (nghttp2-client) is not installed")
def test_h2load_gets_an_answer_to_every_request(client: Client, tmp_path: Path) -> None:
    url = f"{client.urls['apns']}/3/device/{demo_token('apns', 1)}"
    headers = [part for name, value in client.apns_headers().items() for part in ("-H", f"{name}: {value}")]
    body = tmp_path / "body.json"
    body.write_text('{"aps":{"alert":"hello"}}')

    command = ["h2load", "-n", "300", "-c", "2", "-m", "20", "-d", str(body), *headers, url]
    report = subprocess.run(command, capture_output=True, timeout=30, check=True).stdout.decode()

    answered = re.search(r"(\d+) total, .* (\d+) done, (\d+) succeeded", report)
    assert answered is not None
    assert set(answered.groups()) == {"300"}
