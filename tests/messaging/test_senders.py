"""One provider for a credential as long as the process lives: kept, replaced with the credential, or thrown away."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings

from devices.push_services import PushService
from messaging import batches, fanout, senders
from messaging.batches import ClaimedBatch
from messaging.drain import Drain
from messaging.providers.base import CredentialFault
from messaging.secrets import store_credential
from messaging.simulators.accounts import demo_accounts
from messaging.ticker import claim_due
from tests.messaging.stage import Stage

FCM = PushService.FCM


def change_credential(stage: Stage) -> None:
    store_credential(stage.application, FCM, demo_accounts(settings.DATA_DIR, stage.simulators.urls)["fcm"])


def claim(stage: Stage, **values: object) -> ClaimedBatch:
    stage.devices(1)
    stage.publish("ANDROID", **values)
    claim_due()
    fanout.plan_next_page()
    batch = batches.claim("me")
    assert batch is not None
    return batch


def connections(stage: Stage) -> set[int]:
    return {entry["connection"] for entry in stage.requests("fcm")}


def test_campaigns_one_after_the_other_share_a_connection(stage: Stage) -> None:
    stage.devices(2)

    for _ in range(3):
        stage.send("ANDROID")

    assert len(connections(stage)) == 1


def test_a_provider_is_kept_until_its_credential_changes(stage: Stage) -> None:
    first = senders.provider_for(stage.application.pk, FCM)
    assert senders.provider_for(stage.application.pk, FCM) is first

    change_credential(stage)

    assert senders.provider_for(stage.application.pk, FCM) is not first


def test_push_services_without_a_credential_are_a_fault_of_ours(stage: Stage) -> None:
    stage.application.credentials.all().delete()

    with pytest.raises(CredentialFault, match="No credential for FCM"):
        senders.provider_for(stage.application.pk, FCM)


def test_simulators_that_do_not_run_are_named(stage: Stage) -> None:
    file = settings.DATA_DIR / senders.SIMULATOR_FILE
    urls = file.read_text()
    file.unlink()
    try:
        with pytest.raises(CredentialFault, match="simulate_providers"):
            senders.provider_for(stage.application.pk, FCM)
    finally:
        file.write_text(urls)


def test_a_provider_thrown_away_is_made_anew_with_a_connection_of_its_own(stage: Stage) -> None:
    stage.devices(1)
    stage.send("ANDROID")
    first = senders.provider_for(stage.application.pk, FCM)

    senders.discard(first)
    stage.send("ANDROID")

    assert senders.provider_for(stage.application.pk, FCM) is not first
    assert len(connections(stage)) == 2


def test_a_notification_is_rendered_once_for_all_batches_of_an_occurrence(stage: Stage) -> None:
    batch = claim(stage)

    assert senders.sender_for(batch).prepared is senders.sender_for(batch).prepared


def test_a_message_with_a_life_is_rendered_for_each_batch_anew(stage: Stage) -> None:
    batch = claim(stage, ttl=timedelta(minutes=5))

    assert senders.sender_for(batch).prepared is not senders.sender_for(batch).prepared


def test_what_was_prepared_for_an_old_credential_is_not_sent_with_the_new_one(stage: Stage) -> None:
    batch = claim(stage)
    before = senders.sender_for(batch)

    change_credential(stage)
    after = senders.sender_for(batch)

    assert after.provider is not before.provider
    assert after.prepared is not before.prepared


def test_a_drain_goes_on_with_the_new_provider_when_the_old_one_has_its_answers(stage: Stage) -> None:
    stage.devices(2)
    stage.send("ANDROID")
    old = senders.provider_for(stage.application.pk, FCM)
    change_credential(stage)

    stage.start("ANDROID")
    Drain().run()
    senders.provider_for(stage.application.pk, FCM)

    assert old not in senders._retired
    assert len(connections(stage)) == 2
