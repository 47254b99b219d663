"""One place counts: the same numbers while a campaign runs and after it, in sum and by push service."""

from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext

from devices.push_services import PushService
from messaging.drain import Drain
from messaging.ledger import Ledger, failure_groups, ledger_by_service, ledger_of, ledgers_of
from messaging.models import DeliveryOutcome, Occurrence
from tests.messaging.stage import Stage, finish, fresh


def mixed(stage: Stage) -> Occurrence:
    """Accepted, failed and dead devices of two push services."""
    stage.devices(5)
    stage.devices(2, "ANDROID", "dead")
    stage.devices(3, "IOS")
    stage.devices(1, "IOS", "unknown")
    occurrence = stage.start("ANDROID", "IOS")
    finish(occurrence)
    return fresh(occurrence)


def test_an_occurrence_nobody_has_planned_targets_nobody_yet(stage: Stage) -> None:
    stage.devices(2)

    assert ledger_of(stage.publish("ANDROID")) == Ledger()


def test_everybody_is_pending_until_something_is_known(stage: Stage) -> None:
    stage.devices(2)
    occurrence = stage.start("ANDROID")
    Drain()._plan()

    ledger = ledger_of(fresh(occurrence))
    assert (ledger.targeted, ledger.pending) == (2, 2)


def test_closing_changes_no_number(stage: Stage) -> None:
    occurrence = mixed(stage)
    closed = ledger_of(occurrence)
    occurrence.closed_at = None  # makes it be counted from the batches

    assert ledger_of(occurrence) == closed == Ledger(targeted=11, accepted=8, failed=3, skipped=0)


def test_push_services_add_up_to_the_whole(stage: Stage) -> None:
    parts = ledger_by_service(mixed(stage))

    assert parts == {
        PushService.APNS: Ledger(targeted=4, accepted=3, failed=1, skipped=0),
        PushService.FCM: Ledger(targeted=7, accepted=5, failed=2, skipped=0),
    }


def test_failures_are_grouped_by_reason_with_the_largest_first(stage: Stage) -> None:
    groups = failure_groups(mixed(stage))

    assert [(group.push_service, group.outcome, group.devices) for group in groups] == [
        (PushService.FCM, DeliveryOutcome.GONE, 2),
        (PushService.APNS, DeliveryOutcome.FAILED, 1),
    ]


def test_many_open_occurrences_are_counted_with_one_query(stage: Stage) -> None:
    stage.devices(1)
    occurrences = [stage.start("ANDROID") for _ in range(5)]
    for _ in occurrences:
        Drain()._plan()

    with CaptureQueriesContext(
        connection,
    ) as queries:
        ledgers = ledgers_of(occurrences)

    assert len(queries) == 1
    assert {ledger.targeted for ledger in ledgers.values()} == {1}
