"""The WNS simulator and its token endpoint judge by Microsoft's rules, on HTTP/1.1 and HTTP/2."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.messaging.simulator_clients import Client, running_simulators


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running_simulators(tmp_path_factory.mktemp("wns")) as running:
        yield running


@pytest.fixture
def channel(client: Client) -> str:
    return client.simulators.token("wns", 1)


@pytest.mark.parametrize("http1", [True, False])
def test_a_toast_is_received_on_both_protocols(client: Client, channel: str, http1: bool) -> None:
    answer = client.send_wns(channel, http1=http1)

    assert (answer.status, answer.headers["x-wns-status"]) == (200, "received")
    assert answer.headers["x-wns-msg-id"]


def test_the_device_status_is_told_when_asked_for(client: Client, channel: str) -> None:
    assert (
        client.send_wns(channel, x_wns_requestforstatus="true").headers["x-wns-deviceconnectionstatus"] == "connected"
    )


def test_the_log_holds_the_texts_of_a_toast(client: Client, channel: str) -> None:
    client.send_wns(channel)

    assert client.simulators.requests()[-1]["notification"]["texts"] == ["Hi & bye"]


@pytest.mark.parametrize(
    ("kind", "xml"),
    [
        ("wns/tile", "<tile><visual/></tile>"),
        ("wns/badge", "<badge value='3'/>"),
    ],
)
def test_tiles_and_badges_are_received(client: Client, channel: str, kind: str, xml: str) -> None:
    assert client.send_wns(channel, xml, x_wns_type=kind).status == 200


def test_raw_content_goes_as_octet_stream(client: Client, channel: str) -> None:
    headers = {"x_wns_type": "wns/raw", "content_type": "application/octet-stream"}

    assert client.send_wns(channel, "anything", **headers).status == 200


@pytest.mark.parametrize(
    ("headers", "xml", "status"),
    [
        ({"authorization": None}, "", 401),
        ({"authorization": "Bearer EgAcAQMAAAAAmade.up"}, "", 401),
        ({"x_wns_type": None}, "", 400),
        ({"x_wns_type": "wns/shout"}, "", 400),
        ({"x_wns_type": "wns/raw"}, "", 400),
        ({"x_wns_type": "wns/tile"}, "", 400),
        ({"content_type": "application/xml"}, "", 400),
        ({"x_wns_ttl": "later"}, "", 400),
        ({"x_wns_tag": "more than 16 letters"}, "", 400),
        ({"x_wns_cache_policy": "maybe"}, "", 400),
        ({}, "<toast><visual></toast>", 400),
        ({}, "<!DOCTYPE toast [<!ENTITY a 'b'>]><toast>&a;</toast>", 400),
        ({}, "<toast>" + "x" * 5000 + "</toast>", 413),
    ],
)
def test_a_wrong_request_is_refused_with_a_description(
    client: Client, channel: str, headers: dict, xml: str, status: int
) -> None:
    answer = client.send_wns(channel, xml, **headers)

    assert (answer.status, bool(answer.headers["x-wns-error-description"])) == (status, True)


def test_5000_bytes_are_received(client: Client, channel: str) -> None:
    xml = "<toast>" + "x" * (5000 - 15) + "</toast>"

    assert len(xml) == 5000
    assert client.send_wns(channel, xml).status == 200


def test_chunked_transfer_is_refused(client: Client, channel: str) -> None:
    answer = client.send_wns(channel, http1=True, transfer_encoding="chunked")

    assert answer.status == 400


@pytest.mark.parametrize(
    ("behaviour", "status", "header", "value"),
    [
        ("dead", 410, "x-wns-error-description", "The channel has expired."),
        ("blocked", 410, "x-wns-error-description", "Domain Blocked"),
        ("dropped", 200, "x-wns-status", "dropped"),
        ("throttled", 200, "x-wns-status", "channelthrottled"),
        ("429-7", 406, "retry-after", "7"),
        ("503-9", 503, "retry-after", "9"),
    ],
)
def test_a_behaviour_in_the_channel_answers_as_wns(
    client: Client, behaviour: str, status: int, header: str, value: str
) -> None:
    answer = client.send_wns(client.simulators.token("wns", 2, behaviour))

    assert (answer.status, answer.headers[header]) == (status, value)


def test_the_token_endpoint_issues_a_bearer_token_for_a_day(client: Client) -> None:
    assert client.wns_token().json()["expires_in"] == 86_400


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_secret": "guess"}, "invalid_client"),
        ({"client_id": "ms-app://other"}, "invalid_client"),
        ({"scope": "notify"}, "invalid_scope"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_wrong_credentials_get_no_token(client: Client, changes: dict, error: str) -> None:
    answer = client.wns_token(**changes)

    assert (answer.status, answer.json()["error"]) == (400, error)
