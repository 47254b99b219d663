"""The official SDKs send what is too much: they hear so once, stay connected, and send nothing again."""

from __future__ import annotations

import pytest

from tests.realtime.conftest import Live
from tests.realtime.sdks import judge


@pytest.mark.parametrize("sdk", ["backendless8", "backendless7", "backendless6"])
@pytest.mark.parametrize("length", [150_000, 3_000_000])
def test_the_sdk_hears_of_each_command_that_is_too_much_and_stays_connected(live: Live, sdk: str, length: int) -> None:
    report = judge(sdk)("too_much", live.sdk_configuration(length=length, many=1_500))

    assert report["connects"] == 1
    assert (report["longWhileWaiting"], report["long"]) == (5901, 5901)
    assert set(report["outcomes"]) == {"sent", "5906"}
    assert (report["nested"], report["buffer"], report["bufferWhileWaiting"]) == (5901, 5901, 5901)
    assert report["halfAnEmoji"] in ("sent", 5906)
    assert report["message"] == "hello"
