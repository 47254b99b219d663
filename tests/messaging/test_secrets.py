"""Provider secrets at rest: unreadable without the key ring, and bound to the row they belong to."""

from __future__ import annotations

import os
from typing import Any

import pytest
from django.conf import settings
from pytest_django.fixtures import Settings

from devices.models import Application
from devices.push_services import PushService
from messaging.models import Lane, LaneState, ProviderCredential, StoredAccessToken
from messaging.providers.credentials import InvalidCredential
from messaging.secrets import SecretUnreadable, decrypt, encrypt, read_credential, store_credential
from messaging.simulators.accounts import demo_accounts

URLS = {"google_token": "https://localhost:1/token"}


@pytest.fixture
def wns() -> dict[str, Any]:
    return demo_accounts(settings.DATA_DIR, URLS)["wns"]


@pytest.fixture
def application(db: None) -> Application:
    return Application.objects.create(name="Secrets")


def test_a_stored_credential_is_read_back(application: Application, wns: dict[str, Any]) -> None:
    store_credential(application, PushService.WNS, wns)

    assert read_credential(ProviderCredential.objects.get()) == wns


def test_the_secret_is_nowhere_in_the_row(application: Application, wns: dict[str, Any]) -> None:
    row = store_credential(application, PushService.WNS, wns)

    assert wns["client_secret"].encode() not in bytes(row.secret)
    assert wns["client_secret"] not in str(row.facts)


def test_a_ciphertext_moved_to_another_row_does_not_decrypt(application: Application, wns: dict[str, Any]) -> None:
    other = Application.objects.create(name="Other")
    row = store_credential(application, PushService.WNS, wns)
    stolen = store_credential(other, PushService.WNS, {**wns, "client_secret": "another"})
    stolen.secret = row.secret

    with pytest.raises(SecretUnreadable, match="does not belong to its row"):
        read_credential(stolen)


def test_one_changed_bit_is_noticed() -> None:
    sealed = bytearray(encrypt(b"secret", context="row"))
    sealed[-1] ^= 1

    with pytest.raises(SecretUnreadable):
        decrypt(bytes(sealed), context="row")


def test_a_new_key_encrypts_and_the_old_one_in_the_ring_still_reads(settings: Settings) -> None:
    old = encrypt(b"written before", context="row")
    settings.ENCRYPTION_KEYS = {"k2": os.urandom(32), **settings.ENCRYPTION_KEYS}
    new = encrypt(b"written after", context="row")

    assert decrypt(old, context="row") == b"written before"
    assert decrypt(new, context="row") == b"written after"
    settings.ENCRYPTION_KEYS = {"k2": settings.ENCRYPTION_KEYS["k2"]}
    assert decrypt(new, context="row") == b"written after"
    with pytest.raises(SecretUnreadable, match="'k1' is not in the key ring"):
        decrypt(old, context="row")


def test_the_same_secret_is_never_encrypted_alike() -> None:
    assert encrypt(b"secret", context="row") != encrypt(b"secret", context="row")


def test_a_changed_credential_opens_the_lanes_and_forgets_access_tokens(
    application: Application, wns: dict[str, Any]
) -> None:
    row = store_credential(application, PushService.WNS, wns)
    Lane.objects.create(application=application, push_service="wns", state=LaneState.PAUSED, paused_because="refused")
    StoredAccessToken.objects.create(
        credential=row, kind="k", value=b"x", issued_at="2026-01-01T00:00Z", expires_at="2026-01-02T00:00Z"
    )

    changed = store_credential(application, PushService.WNS, {**wns, "client_secret": "renewed"})

    assert (changed.pk, changed.version) == (row.pk, row.version + 1)
    assert not StoredAccessToken.objects.exists()
    lane = Lane.objects.get()
    assert (lane.state, lane.paused_because) == (LaneState.OPEN, "")


def test_an_unusable_credential_is_refused_and_nothing_stored(application: Application) -> None:
    with pytest.raises(InvalidCredential):
        store_credential(application, PushService.FCM, {"type": "service_account", "private_key": "no key"})

    assert not ProviderCredential.objects.exists()
