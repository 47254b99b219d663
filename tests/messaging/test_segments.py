"""A segment query in a campaign: exactly the devices it describes are sent to, and counted."""

from __future__ import annotations

from devices import audience
from messaging.drain import Drain
from messaging.ledger import ledger_of
from messaging.publishing import audience_of, request_of
from tests.messaging.stage import Stage, fresh, tokens


def test_segment_of_a_campaign_is_sent_to_and_nobody_else(stage: Stage) -> None:
    adults = [*stage.devices(20, attributes={"age": 30}), *stage.devices(10, "IOS", attributes={"age": "19"})]
    stage.devices(15, attributes={"age": 17})
    stage.devices(5, attributes={"age": 40}, channels=("other",))

    occurrence = stage.start(segment_query="age > 18")
    Drain().run()

    ledger = ledger_of(fresh(occurrence))
    assert (ledger.targeted, ledger.accepted, ledger.pending) == (30, 30, 0)
    assert stage.reached() == tokens(adults)


def test_count_before_sending_is_what_is_targeted(stage: Stage) -> None:
    stage.devices(7, attributes={"plan": "gold"})
    stage.devices(9, "IOS", attributes={"plan": "free"})

    occurrence = stage.start(segment_query="plan = 'gold' OR operatingSystemName = 'IOS'")
    Drain().run()

    message = fresh(occurrence).message
    counted = audience.count(audience_of(request_of(message), stage.application, message.channel_id))
    assert ledger_of(fresh(occurrence)).targeted == sum(entry.devices for entry in counted) == 16
