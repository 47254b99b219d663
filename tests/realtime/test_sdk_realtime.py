"""The real-time sequence of the official SDKs, unmodified: 8, 7 and 6 in Node, 8 in Chromium from another origin."""

from __future__ import annotations

from typing import Any

import pytest

from tests.realtime.conftest import Live
from tests.realtime.sdks import judge

#: the vendor's own tests assert exactly these keys
MESSAGE_KEYS = {
    "messageId",
    "timestamp",
    "message",
    "publisherId",
    "subtopic",
    "pushSinglecast",
    "pushBroadcast",
    "publishPolicy",
    "templateValues",
    "query",
    "publishAt",
    "repeatEvery",
    "repeatExpiresAt",
    "headers",
}


@pytest.mark.parametrize("sdk", ["backendless8", "backendless7", "backendless6", "chromium"])
def test_the_sdk_joins_listens_selects_commands_and_leaves(live: Live, sdk: str) -> None:
    check_realtime(judge(sdk)("realtime", live.sdk_configuration(channelName="news")))


@pytest.mark.parametrize("sdk", ["backendless8", "backendless7", "backendless6", "chromium"])
def test_the_sdk_does_the_same_by_host_name(live: Live, sdk: str) -> None:
    check_realtime(judge(sdk)("realtime", live.sdk_configuration_by_host(channelName="news")))


def check_realtime(report: dict[str, Any]) -> None:
    assert (report["isConnected"], report["isConnectedAfterLeaving"]) == (True, False)
    assert report["transport"] == "websocket"
    check_messages(report)
    check_people(report)
    assert report["forbidden"]["code"] == 5912
    assert report["refusedSelector"][0]["code"] == 5940


def check_messages(report: dict[str, Any]) -> None:
    first, second, third = report["messages"][:3]
    assert first["messageId"] == report["published"]["messageId"]
    assert report["published"] == {"errorMessage": None, "messageId": first["messageId"], "status": "scheduled"}
    assert first.keys() == MESSAGE_KEYS
    unused = {key: first[key] for key in MESSAGE_KEYS - {"messageId", "timestamp", "message", "headers"}}
    times = {"publishAt": 0, "repeatEvery": 0, "repeatExpiresAt": 0}
    assert unused == {**dict.fromkeys(unused), **times}
    assert (first["message"], first["headers"]) == ("first", {"foo": "20"})
    assert (second["message"], second["headers"]) == ({"second": [1, None, "ä€😀"]}, {"foo": "5"})
    assert (third["message"], third["headers"]) == (None, {})
    assert report["selected"] == ["first"]


def check_people(report: dict[str, Any]) -> None:
    status, people = report["listing"]["status"], report["listing"]["data"]
    (command,) = report["commands"]
    assert (status, len(people)) == ("LISTING", 1)
    assert people[0]["userId"] is None
    assert command == {"type": "TYPE", "data": {"x": 1}, **people[0], "userInfo": people[0]}
