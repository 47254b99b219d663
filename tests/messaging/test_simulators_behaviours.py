"""Behaviours in tokens and whole-service modes: how they are written, and what they do."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pycurl
import pytest

from messaging.simulators.accounts import demo_token
from messaging.simulators.behaviours import (
    HEX_CODES,
    Behaviour,
    Kind,
    UnknownBehaviour,
    of_hex_token,
    of_text_token,
    parse_behaviour,
)
from tests.messaging.simulator_clients import Client, running_simulators

ALL_WORDS = [kind.value for kind in HEX_CODES]
TOKEN = demo_token("fcm", 1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running_simulators(tmp_path_factory.mktemp("behaviours")) as client:
        yield client


@pytest.fixture
def client(running: Client) -> Iterator[Client]:
    yield running
    running.simulators.reset()


@pytest.mark.parametrize("word", ALL_WORDS)
def test_every_word_is_read_back_from_text_and_hex_tokens(word: str) -> None:
    expected = Behaviour(Kind(word), None, 2)

    assert of_text_token(demo_token("fcm", 7, f"{word}x2")) == expected
    assert of_hex_token(demo_token("apns", 7, f"{word}x2")) == expected


def test_a_number_and_times_are_read_back_from_both_kinds_of_token() -> None:
    assert of_text_token("cX:APA91bxyz-429-3x2") == Behaviour(Kind.S429, 3, 2)
    assert of_hex_token(demo_token("apns", 1, "429-3x2")) == Behaviour(Kind.S429, 3, 2)
    assert of_hex_token(demo_token("apns", 1, "slow-1500")) == Behaviour(Kind.SLOW, 1500)


def test_ten_thousand_ordinary_tokens_ask_for_nothing() -> None:
    asked = [of_text_token(demo_token("fcm", n)).kind for n in range(10_000)]
    asked += [of_hex_token(demo_token("apns", n)).kind for n in range(10_000)]

    assert set(asked) == {Kind.OK}


@pytest.mark.parametrize("text", ["explode", "429-", "dead-x", "slow 5"])
def test_an_unknown_behaviour_is_refused(text: str) -> None:
    with pytest.raises(UnknownBehaviour):
        parse_behaviour(text)


def test_a_number_too_large_for_a_hex_token_is_refused() -> None:
    with pytest.raises(UnknownBehaviour):
        demo_token("apns", 1, "429-3600")


def test_a_token_is_refused_so_many_times_and_then_accepted(client: Client) -> None:
    answers = [client.fcm_to(demo_token("fcm", 11, "429-3x2")) for _ in range(3)]

    assert [answer.status for answer in answers] == [429, 429, 200]
    assert [answer.headers.get("retry-after") for answer in answers] == ["3", "3", None]


def test_a_slow_token_is_accepted_late(client: Client) -> None:
    began = time.monotonic()
    answer = client.fcm_to(demo_token("fcm", 1, "slow-300"))

    assert answer.status == 200
    assert time.monotonic() - began >= 0.3


def test_a_gateways_html_is_no_json(client: Client) -> None:
    answer = client.fcm_to(demo_token("fcm", 1, "502"))

    assert (answer.status, answer.headers["content-type"]) == (502, "text/html; charset=UTF-8")


def test_truncated_json_stops_in_the_middle(client: Client) -> None:
    answer = client.fcm_to(demo_token("fcm", 1, "truncated"))

    assert answer.status == 500
    assert answer.body.startswith(b'{"error"')
    assert not answer.body.endswith(b"}")


@pytest.mark.parametrize("status", ["301", "302", "307", "308"])
def test_redirects_point_to_a_page_that_counts_its_visitors(client: Client, status: str) -> None:
    answer = client.fcm_to(demo_token("fcm", 1, status))
    visited_before = client.simulators.counts()["followed_redirects"]
    client.post(answer.headers["location"], {})

    assert answer.status == int(status)
    assert (visited_before, client.simulators.counts()["followed_redirects"]) == (0, 1)


def test_a_wrong_request_is_refused_before_its_behaviour(client: Client) -> None:
    answer = client.send_fcm({"message": {"token": demo_token("fcm", 1, "500"), "colour": "red"}})

    assert answer.status == 400


@pytest.mark.parametrize(("mode", "status"), [("429-20", 429), ("500", 500), ("401", 401), ("403", 403)])
def test_a_mode_meets_every_request_of_its_service_alone(client: Client, mode: str, status: int) -> None:
    client.simulators.set_mode("fcm", mode)

    assert [client.fcm_to(TOKEN).status for _ in range(2)] == [status, status]
    assert client.send_apns(demo_token("apns", 1)).status == 200


def test_a_mode_may_meet_every_third_request(client: Client) -> None:
    client.simulators.set_mode("fcm", "503", every=3)

    assert [client.fcm_to(TOKEN).status for _ in range(6)] == [200, 200, 503, 200, 200, 503]


def test_a_mode_may_meet_the_first_requests_of_each_token(client: Client) -> None:
    client.simulators.set_mode("fcm", "500", first=1)
    other = demo_token("fcm", 2)

    assert [client.fcm_to(token).status for token in (TOKEN, TOKEN, other, other)] == [500, 200, 500, 200]


def test_a_mode_may_only_add_latency(client: Client) -> None:
    client.simulators.set_mode("fcm", latency_ms=250)
    began = time.monotonic()

    assert client.fcm_to(TOKEN).status == 200
    assert time.monotonic() - began >= 0.25


def test_a_hang_mode_answers_nothing(client: Client) -> None:
    client.simulators.set_mode("wns", "hang")
    headers = {"authorization": f"Bearer {client.access_token('wns')}"}

    answer = client.request("POST", client.simulators.token("wns", 1), headers, b"<toast/>", timeout_s=0.3)

    assert (answer.status, answer.curl_error) == (0, pycurl.E_OPERATION_TIMEDOUT)
    assert client.simulators.requests()[-1]["reason"] == "hang"


def test_a_token_endpoint_has_modes_too(client: Client) -> None:
    client.simulators.set_mode("google_token", "400")

    assert client.google_token().json()["error"] == "invalid_grant"


@pytest.mark.parametrize("certificate", ["expired", "wrong_host", "untrusted"])
def test_a_wrong_certificate_is_seen_by_new_connections_until_the_reset(client: Client, certificate: str) -> None:
    client.simulators.set_mode("fcm", certificate=certificate)
    refused = client.fcm_to(TOKEN)
    client.simulators.reset()

    assert refused.curl_error == pycurl.E_PEER_FAILED_VERIFICATION
    assert client.fcm_to(TOKEN).status == 200
