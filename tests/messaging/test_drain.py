"""Sending: every device of a campaign is reached once and accounted for, whatever the push services answer."""

from __future__ import annotations

from messaging.drain import Drain
from messaging.ledger import ledger_of
from tests.messaging.stage import Stage, fresh, tokens


def test_each_device_gets_one_request_and_one_outcome(stage: Stage) -> None:
    devices = [*stage.devices(30), *stage.devices(30, "IOS"), *stage.devices(5, "WP"), *stage.devices(10, "WEB")]

    occurrence = stage.start("ANDROID", "IOS", "WP", "WEB")
    Drain().run()

    ledger = ledger_of(fresh(occurrence))
    assert (ledger.targeted, ledger.accepted, ledger.pending) == (75, 75, 0)
    assert stage.requests_by_token() == dict.fromkeys(tokens(devices), 1)
