"""Resolving an audience into batches: exactly the devices meant, each once, however the planning is interrupted."""

from __future__ import annotations

import pytest
from django.db import transaction
from django.db.models.functions import Now

from devices.push_services import OsMask
from messaging import fanout
from messaging.drain import Drain
from messaging.ledger import ledger_of
from messaging.models import Batch, MessageStatus, OccurrenceState, PublishPolicy
from messaging.publishing import cancel
from messaging.ticker import claim_due
from tests.messaging.stage import Stage, fresh, in_thread, message_of, tokens


def planned_ids(*, of: int) -> list[int]:
    return [pk for batch in Batch.objects.filter(occurrence=of) for pk in batch.registration_ids]


def test_a_channel_campaign_reaches_exactly_the_subscribed_devices_of_the_named_systems(stage: Stage) -> None:
    meant = [
        *stage.devices(7, "ANDROID", channels=("news",)),
        *stage.devices(5, "IOS", channels=("news", "offers")),
    ]
    stage.devices(3, "ANDROID", channels=("offers",))
    stage.devices(3, "WP", channels=("news",))
    stage.devices(3, "WEB", channels=("news",))

    ledger = stage.send("ANDROID", "IOS", channel_name="news")

    assert (ledger.targeted, ledger.accepted) == (12, 12)
    assert stage.requests_by_token() == dict.fromkeys(tokens(meant), 1)


def test_named_devices_are_reached_across_channels_and_unknown_ids_are_passed_over(stage: Stage) -> None:
    android, ios = stage.devices(2, channels=("news",)), stage.devices(2, "IOS", channels=("offers",))
    meant = [android[0], ios[1]]

    ledger = stage.send(push_singlecast=(*(device.device_id for device in meant), "never seen"))

    assert (ledger.targeted, ledger.accepted) == (2, 2)
    assert stage.reached() == tokens(meant)


def test_a_broadcast_goes_to_the_operating_systems_of_its_mask(stage: Stage) -> None:
    stage.devices(3, "ANDROID")
    ios, windows = stage.devices(3, "IOS"), stage.devices(2, "WP")

    stage.send("ANDROID", push_broadcast=OsMask.IOS | OsMask.WP)

    assert stage.reached() == tokens([*ios, *windows])


@pytest.mark.parametrize(
    "values", [{"publish_policy": PublishPolicy.PUBSUB}, {"push_broadcast": OsMask.NONE}], ids=["PUBSUB", "mask 0"]
)
def test_without_a_push_the_message_is_published_and_nobody_is_sent_to(stage: Stage, values: dict[str, object]) -> None:
    stage.devices(3)

    occurrence = stage.start("ANDROID", **values)
    Drain().run()

    assert stage.requests() == []
    assert message_of(occurrence).status == MessageStatus.PUBLISHED
    assert ledger_of(fresh(occurrence)).targeted == 0


def test_small_messages_are_planned_in_one_step_each_to_its_own_devices(stage: Stage) -> None:
    devices = stage.devices(5)
    started = [stage.start("ANDROID", push_singlecast=(device.device_id,)) for device in devices]

    assert fanout.plan_next_page()

    assert [planned_ids(of=occurrence.pk) for occurrence in started] == [[device.pk] for device in devices]
    assert {fresh(occurrence).state for occurrence in started} == {OccurrenceState.SENDING}
    assert not fanout.plan_next_page()


def test_a_device_that_registers_after_the_start_belongs_to_the_next_message(stage: Stage) -> None:
    early = stage.devices(fanout.PAGE_SIZE + 1)
    occurrence = stage.start("ANDROID")
    fanout.plan_next_page()
    stage.devices(4)
    fanout.plan_next_page()

    assert sorted(planned_ids(of=occurrence.pk)) == sorted(device.pk for device in early)


def test_expired_and_gone_devices_are_not_targeted(stage: Stage) -> None:
    live = stage.devices(2)
    stage.devices(2, expiration=Now())
    stage.devices(2, state="gone")

    ledger = stage.send("ANDROID")

    assert (ledger.targeted, ledger.accepted) == (2, 2)
    assert stage.reached() == tokens(live)


def test_pages_join_without_a_gap_or_an_overlap(stage: Stage) -> None:
    page = fanout.PAGE_SIZE
    devices = stage.devices(page + 1_100)
    occurrence = stage.start("ANDROID")

    assert fanout.plan_next_page()
    assert fresh(occurrence).state == OccurrenceState.PLANNING
    assert fanout.plan_next_page()
    assert not fanout.plan_next_page()

    assert sorted(planned_ids(of=occurrence.pk)) == sorted(device.pk for device in devices)
    assert fresh(occurrence).state == OccurrenceState.SENDING
    assert max(Batch.objects.values_list("targeted", flat=True)) <= fanout.BATCH_SIZE


def test_a_page_that_was_rolled_back_is_planned_again(stage: Stage) -> None:
    devices = stage.devices(30)
    occurrence = stage.start("ANDROID")
    with pytest.raises(KeyboardInterrupt), transaction.atomic():
        fanout.plan_next_page()
        raise KeyboardInterrupt

    assert fanout.plan_next_page()

    assert sorted(planned_ids(of=occurrence.pk)) == sorted(device.pk for device in devices)


def test_a_message_cancelled_while_its_audience_is_resolved_plans_no_further_page(stage: Stage) -> None:
    stage.devices(fanout.PAGE_SIZE + 10)
    occurrence = stage.start("ANDROID")
    fanout.plan_next_page()

    cancel(message_of(occurrence))

    assert not fanout.plan_next_page()
    Drain().run()
    ledger = ledger_of(fresh(occurrence))
    assert (ledger.skipped, ledger.pending, stage.requests()) == (ledger.targeted, 0, [])
    assert fresh(occurrence).closed_at is not None


def test_a_small_campaign_does_not_wait_for_the_end_of_a_large_one(stage: Stage) -> None:
    stage.devices(5_000, channels=("large",))
    small = stage.devices(10, channels=("small",))
    stage.start("ANDROID", channel_name="large")
    while fanout.plan_next_page():
        pass
    stage.start("ANDROID", channel_name="small")
    Drain().run()

    order = [str(entry["token"]) for entry in stage.requests()]
    last_of_small = max(order.index(token) for token in tokens(small))
    assert last_of_small < 2_200  # two batches of the large one, and what is on the wire


def test_two_planners_never_plan_the_same_page(stage: Stage) -> None:
    stage.devices(10)
    stage.start("ANDROID")

    with transaction.atomic():
        assert fanout.plan_next_page()
        assert in_thread(fanout.plan_next_page) is False


def test_the_claim_of_a_later_campaign_leaves_an_earlier_ones_audience_alone(stage: Stage) -> None:
    first, second = stage.devices(3, channels=("a",)), stage.devices(4, channels=("b",))
    one, two = stage.publish("ANDROID", channel_name="a"), stage.publish("ANDROID", channel_name="b")
    claim_due()
    Drain().run()

    assert sorted(planned_ids(of=one.pk)) == sorted(device.pk for device in first)
    assert sorted(planned_ids(of=two.pk)) == sorted(device.pk for device in second)
