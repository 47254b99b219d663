"""Writing outcomes: under the attempt's fence, exactly once, and dead tokens by compare-and-set."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from devices.models import DeviceRegistration
from devices.registration import GoneToken
from messaging import batches, database, fanout, feedback
from messaging.batches import ClaimedBatch
from messaging.feedback import Postponed, Progress
from messaging.ledger import deliveries_of
from messaging.models import Batch, DeliveryOutcome
from messaging.verdicts import Result
from tests.messaging.stage import Stage, active, check_books, fresh, let_lease_lapse


def claimed(stage: Stage, devices: int = 10) -> ClaimedBatch:
    stage.devices(devices)
    stage.start("ANDROID")
    fanout.plan_next_page()
    batch = batches.claim("first")
    assert batch is not None
    return batch


def accepted(batch: ClaimedBatch) -> Progress:
    results = [Result(pk, DeliveryOutcome.ACCEPTED) for pk in batch.registration_ids]
    return Progress(batch=batch, results=results, is_finished=True)


def test_results_and_counts_are_written_together(stage: Stage) -> None:
    batch = claimed(stage)

    assert feedback.record([accepted(batch)]) == []

    row = Batch.objects.get()
    assert (row.state, row.targeted, row.accepted) == ("done", 10, 10)
    assert deliveries_of(row.occurrence).count() == 10


def test_the_databases_clock_says_when_a_device_was_finished(stage: Stage) -> None:
    batch = claimed(stage)

    with transaction.atomic():
        moment = database.now()  # in a transaction it stands still
        feedback.record([accepted(batch)])

    assert set(deliveries_of(Batch.objects.get().occurrence).values_list("finished_at", flat=True)) == {moment}


def test_who_lost_the_batch_writes_nothing_and_deactivates_nobody(stage: Stage) -> None:
    batch = claimed(stage)
    let_lease_lapse(Batch.objects.get().occurrence)
    successor = batches.claim("second")
    assert successor is not None and successor.attempt == batch.attempt + 1
    device = DeviceRegistration.objects.first()
    assert device is not None
    late = accepted(batch)
    late.gone.append(GoneToken(device.pk, device.token, "Unregistered", None))

    assert feedback.record([late]) == [batch]

    assert check_books(Batch.objects.get().occurrence).accepted == 0
    assert active([device]) == 1
    assert feedback.record([accepted(successor)]) == []


def test_what_the_database_refuses_of_the_rows_is_an_error_of_djangos(stage: Stage) -> None:
    batch = claimed(stage)
    feedback.record([Progress(batch=batch, results=[Result(batch.registration_ids[0], DeliveryOutcome.ACCEPTED)])])

    with pytest.raises(IntegrityError):
        feedback.record([accepted(batch)])

    assert check_books(Batch.objects.get().occurrence).accepted == 1


def test_who_lost_the_batch_to_itself_writes_it_once(stage: Stage) -> None:
    batch = claimed(stage)
    let_lease_lapse(Batch.objects.get().occurrence)
    again = batches.claim("first")
    assert again is not None

    assert feedback.record([accepted(batch), accepted(again)]) == [batch]

    assert check_books(Batch.objects.get().occurrence).accepted == 10


def test_a_token_registered_anew_meanwhile_stays(stage: Stage) -> None:
    kept, dead = stage.devices(2)
    batch = claimed(stage)
    gone = [GoneToken(device.pk, device.token, "UNREGISTERED", None) for device in (kept, dead)]
    DeviceRegistration.objects.filter(pk=kept.pk).update(token="renewed", token_digest=b"another")

    feedback.record([Progress(batch=batch, gone=gone)])

    assert (active([kept]), active([dead])) == (1, 0)


@pytest.mark.parametrize(("set_before_s", "still_active"), [(60, 0), (-60, 1)])
def test_a_410_counts_only_for_tokens_older_than_its_timestamp(
    stage: Stage, set_before_s: int, still_active: int
) -> None:
    devices = stage.devices(1, "IOS", "dead-1")  # dead since an hour
    since = timedelta(hours=1, seconds=set_before_s)
    DeviceRegistration.objects.update(token_set_at=Now() - since)

    stage.send("IOS")

    assert active(devices) == still_active


def test_postponed_devices_move_to_a_batch_of_their_own(stage: Stage) -> None:
    batch = claimed(stage)
    early, late = batch.registration_ids[:2], batch.registration_ids[2:4]
    postponed = [Postponed(pk, 10.0, 1) for pk in early] + [Postponed(pk, 60.0, 1) for pk in late]
    results = [Result(pk, DeliveryOutcome.ACCEPTED) for pk in batch.registration_ids[4:]]

    feedback.record([Progress(batch=batch, results=results, postponed=postponed, is_finished=True)])

    rows = {tuple(sorted(row.registration_ids)): row for row in Batch.objects.exclude(state="done")}
    assert set(rows) == {tuple(early), tuple(late)}
    assert all(row.tries == 1 and row.turn == batch.turn for row in rows.values())
    ledger = check_books(Batch.objects.filter(state="done").get().occurrence)
    assert (ledger.targeted, ledger.accepted, ledger.pending) == (10, 6, 4)


@pytest.mark.parametrize("delay_s", [0.0, 0.3, 4.9, 5.0, 9.99, 77.7, 900.3, 1_349.9, 3_600.0])
def test_no_device_comes_back_earlier_than_it_was_told(stage: Stage, delay_s: float) -> None:
    batch = claimed(stage, 1)

    feedback.record([Progress(batch=batch, postponed=[Postponed(batch.registration_ids[0], delay_s, 1)])])

    wait = Batch.objects.annotate(now=Now()).order_by("-id")[0]
    assert delay_s - 1 <= (wait.due_at - wait.now).total_seconds() <= max(delay_s * 1.15, delay_s + 1)


def test_devices_that_failed_together_come_back_in_several_seconds(stage: Stage) -> None:
    batch = claimed(stage, 1_000)
    postponed = [Postponed(pk, 10 + n * 0.005, 1) for n, pk in enumerate(batch.registration_ids)]

    feedback.record([Progress(batch=batch, postponed=postponed)])

    retries = Batch.objects.filter(tries=1)
    assert sum(len(retry.registration_ids) for retry in retries) == 1_000
    assert max(len(retry.registration_ids) for retry in retries) <= 250


def test_a_thousand_long_waits_share_a_few_batches(stage: Stage) -> None:
    batch = claimed(stage, 1_000)
    postponed = [Postponed(pk, 900 + n * 0.45, 1) for n, pk in enumerate(batch.registration_ids)]

    feedback.record([Progress(batch=batch, postponed=postponed)])

    assert Batch.objects.count() <= 10


def test_words_of_a_push_service_are_stored_as_they_came(stage: Stage) -> None:
    batch = claimed(stage, 1)
    words = "tab\there \\ back\\slash \r\n line \\N \\."
    result = Result(batch.registration_ids[0], DeliveryOutcome.FAILED, "odd\treason", 400, "id\\", words)

    feedback.record([Progress(batch=batch, results=[result], is_finished=True)])

    row = deliveries_of(fresh(Batch.objects.get().occurrence)).get()
    assert (row.reason, row.provider_id, row.detail) == ("odd\treason", "id\\", words)
