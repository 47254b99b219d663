"""Checking credentials: each push service is asked something that reaches nobody, and its answer is kept."""

from __future__ import annotations

import json
import socket
import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.db.models.functions import Now

from devices.push_services import PushService
from messaging.credential_check import check_credential, key_age
from messaging.models import ProviderCredential
from messaging.secrets import store_credential
from messaging.senders import SIMULATOR_FILE
from messaging.simulators.accounts import demo_accounts
from tests.messaging.h2_server import Certificate
from tests.messaging.provider_parts import apns_json, fcm_json, rsa_pem
from tests.messaging.stage import Stage, announce_simulators

SERVICES = list(PushService)


def credential(stage: Stage, service: PushService | str) -> ProviderCredential:
    return ProviderCredential.objects.get(application=stage.application, push_service=service)


def change(stage: Stage, service: PushService, **values: str) -> ProviderCredential:
    usual = demo_accounts(settings.DATA_DIR, stage.simulators.urls)[service.value]
    return store_credential(stage.application, service, {**usual, **values})


@pytest.mark.parametrize("service", SERVICES)
def test_a_working_credential_is_found_to_work_and_nobody_gets_a_push(stage: Stage, service: PushService) -> None:
    result = check_credential(credential(stage, service))

    assert result.ok is True, result.detail
    assert [entry for entry in stage.requests() if entry["status"] == 200] == []


@pytest.mark.parametrize("service", SERVICES)
def test_the_result_is_kept_with_the_credential(stage: Stage, service: PushService) -> None:
    before = credential(stage, service)
    result = check_credential(before)

    row = credential(stage, service)
    assert (row.check_ok, row.check_detail, row.checked_at) == (True, result.detail, result.checked_at)
    assert row.updated_at == before.updated_at


def test_a_service_account_key_that_google_does_not_know_is_refused(stage: Stage) -> None:
    result = check_credential(change(stage, PushService.FCM, private_key=rsa_pem()))

    assert result.ok is False
    assert "invalid_grant" in result.detail


def test_a_service_account_without_the_right_to_send_is_refused(stage: Stage) -> None:
    result = check_credential(change(stage, PushService.FCM, project_id="another-project"))

    assert result.ok is False
    assert "PERMISSION_DENIED" in result.detail


def test_an_apns_key_of_another_team_is_refused(stage: Stage) -> None:
    result = check_credential(change(stage, PushService.APNS, key=str(apns_json()["key"])))

    assert result.ok is False
    assert "InvalidProviderToken" in result.detail


def test_a_topic_of_another_app_is_refused(stage: Stage) -> None:
    result = check_credential(change(stage, PushService.APNS, topic="com.example.another"))

    assert result.ok is False
    assert "TopicDisallowed" in result.detail


def test_a_wrong_wns_secret_is_refused(stage: Stage) -> None:
    result = check_credential(change(stage, PushService.WNS, client_secret="wrong"))

    assert result.ok is False
    assert "wrong" not in result.detail


@pytest.mark.parametrize("service", [PushService.FCM, PushService.APNS])
def test_a_revoked_credential_is_refused(stage: Stage, service: PushService) -> None:
    stage.simulators.set_mode(service.value, "401")

    assert check_credential(credential(stage, service)).ok is False


@pytest.mark.parametrize("service", [PushService.FCM, PushService.APNS])
@pytest.mark.parametrize("mode", ["503", "302"])
def test_an_ill_push_service_says_nothing_about_the_credential(stage: Stage, mode: str, service: PushService) -> None:
    stage.simulators.set_mode(service.value, mode)

    result = check_credential(credential(stage, service))

    assert result.ok is None
    assert "could not be asked" in result.detail


@pytest.mark.parametrize("service", [PushService.FCM, PushService.APNS, PushService.WNS])
def test_a_push_service_that_cannot_be_reached_is_unknown(stage: Stage, service: PushService) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"https://localhost:{unused.getsockname()[1]}"
        urls = {**stage.simulators.urls, "fcm": nowhere, "apns": nowhere, "wns_token": nowhere}
        (settings.DATA_DIR / SIMULATOR_FILE).write_text(json.dumps(urls))
        result = check_credential(credential(stage, service))
    announce_simulators(stage.simulators)

    assert result.ok is None


@pytest.mark.parametrize("service", [PushService.FCM, PushService.APNS, PushService.WNS])
def test_a_certificate_nobody_trusts_is_no_fault_of_the_credential(
    stage: Stage, certificate: Certificate, service: PushService
) -> None:
    urls = {**stage.simulators.urls, "ca_file": certificate.file}
    (settings.DATA_DIR / SIMULATOR_FILE).write_text(json.dumps(urls))
    result = check_credential(credential(stage, service))
    announce_simulators(stage.simulators)

    assert result.ok is None
    assert "No TLS connection to" in result.detail


def test_a_push_service_that_does_not_answer_is_given_up_after_seconds(stage: Stage) -> None:
    stage.simulators.set_mode("apns", "hang")
    began = time.monotonic()

    assert check_credential(credential(stage, "apns")).ok is None
    assert time.monotonic() - began < 10


def test_every_check_of_an_apns_key_uses_the_provider_token_the_senders_use(stage: Stage) -> None:
    check_credential(credential(stage, "apns"))
    stage.simulators.set_mode("apns", token_update_s=1200)

    assert check_credential(credential(stage, "apns")).ok is True


def test_a_credential_replaced_during_the_check_stays_unchecked(stage: Stage) -> None:
    old = credential(stage, PushService.FCM)
    change(stage, PushService.FCM, **{name: str(value) for name, value in fcm_json().items()})

    check_credential(old)

    assert credential(stage, PushService.FCM).checked_at is None


def test_an_encryption_key_that_is_gone_is_named(stage: Stage) -> None:
    ProviderCredential.objects.update(secret=b"\x04lost" + bytes(40))

    result = check_credential(credential(stage, "wns"))

    assert (result.ok, result.detail) == (False, "The encryption key 'lost' is not in the key ring.")


@pytest.mark.parametrize("service", SERVICES)
def test_the_age_is_told_and_no_end_is_invented(stage: Stage, service: PushService) -> None:
    ProviderCredential.objects.update(updated_at=Now() - timedelta(days=400))

    age = key_age(credential(stage, service))

    assert (age.age_days, age.days_left) == (400, None)
    assert age.note
