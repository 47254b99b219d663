"""The real-time sequence of the Swift SDK: rt/lookup, then Engine.IO 3 over either transport.

Swift does not run here. socket.io-client 2, the reference client of that revision, stands in for it; it sends and reads
what RTClient.swift does (see sdk/swift.js).
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.realtime.conftest import Live
from tests.realtime.sdks import FOLDER, NODE
from tests.realtime.test_sdk_realtime import MESSAGE_KEYS


@pytest.mark.parametrize(
    ("transports", "ends_as"),
    [(["polling", "websocket"], "websocket"), (["polling"], "polling"), (["websocket"], "websocket")],
    ids=["upgraded", "polling", "websocket"],
)
def test_swift_joins_listens_selects_and_commands(live: Live, transports: list[str], ends_as: str) -> None:
    report = swift(live, transports)

    assert (report["joined"], report["transport"]) == ("connected", ends_as)
    assert report["all"] == report["some"]
    assert report["all"].keys() == MESSAGE_KEYS
    assert (report["all"]["messageId"], report["all"]["message"]) == (report["published"]["messageId"], "first €")
    assert report["all"]["headers"] == {"foo": "20"}
    (person,) = report["users"]["data"]
    assert report["users"]["status"] == "LISTING"
    assert report["command"] == {"type": "TYPE", "data": None, **person, "userInfo": person}
    assert (report["second"], report["rest"]) == ("second", [])


def test_swift_gets_a_number_as_code_of_a_subscription_and_text_as_code_of_a_method(live: Live) -> None:
    report = swift(live, ["polling"])

    assert report["refused"]["code"] == 5940
    assert report["sent"] == {"id": "M1", "result": None}
    assert report["loggedOut"] == {"id": "M2", "result": None}
    assert report["deadToken"]["error"]["code"] == "3064"


def swift(live: Live, transports: list[str]) -> dict[str, Any]:
    configuration = {
        "url": live.stack.url,
        "prefix": live.account.prefix,
        "applicationId": live.application_id,
        "key": live.account.key,
        "channelName": "news",
        "transports": transports,
    }
    run = "require('./swift.js')(JSON.parse(process.argv[1])).then(report => console.log(JSON.stringify(report)))"
    ended = subprocess.run(
        [str(NODE), "-e", run, json.dumps(configuration)], cwd=FOLDER, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    return report
