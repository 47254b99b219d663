"""What runs an application: lanes, credentials, keys, devices, passwords. All recorded, no secret shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from console.models import AuditEntry
from devices.api_keys import authenticate
from devices.errors import WrongApplicationInfo
from devices.models import ApiKey, Application, RegistrationState
from messaging.models import Lane, LaneState
from messaging.secrets import read_credential
from messaging.simulators.accounts import demo_accounts
from tests.console.rows import PASSWORD, address

APNS = {"team_id": "ABCDEFGHIJ", "key_id": "ABCDEFGHIJ", "topic": "org.example.app", "environment": "sandbox"}


@pytest.fixture
def administrator(marketer: User) -> User:
    """The person of `page`, with every right."""
    marketer.is_superuser = True
    marketer.save()
    return marketer


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Credentials as people have them."""
    folder: Path = tmp_path_factory.mktemp("accounts")
    urls = dict.fromkeys(("fcm", "google_token", "apns", "wns_token"), "https://localhost:1")
    return demo_accounts(folder, urls)


def audited(action: str) -> AuditEntry:
    return AuditEntry.objects.get(action=action, actor="maria")


def test_a_push_service_is_paused_with_a_reason(page: Client, application: Application) -> None:
    path = address(application, "providers/apns/pause/")

    assert b"Say why APNs is paused" in page.post(path, {"reason": " "}, follow=True).content
    html = page.post(path, {"reason": "Wrong build"}, follow=True).content.decode()

    assert Lane.objects.get().state == LaneState.PAUSED
    assert "Wrong build (maria)" in html
    assert audited("lane.pause").after == {"because": "Wrong build"}


@pytest.mark.parametrize(("typed", "stored"), [("250", 250), ("0", 0), ("", None)])
def test_the_pace_of_a_push_service_is_set(
    page: Client, application: Application, typed: str, stored: int | None
) -> None:
    page.post(address(application, "providers/fcm/pace/"), {"requests_per_second": typed})

    assert Lane.objects.get().requests_per_second == stored
    assert audited("lane.pace").after == {"requests_per_second": stored}


@pytest.mark.parametrize("typed", ["fast", "-1", "1000001", "9" * 30])
def test_a_pace_that_is_none_is_refused(page: Client, application: Application, typed: str) -> None:
    answer = page.post(address(application, "providers/fcm/pace/"), {"requests_per_second": typed}, follow=True)

    assert b"a whole number" in answer.content
    assert not Lane.objects.exists()


@pytest.mark.parametrize("service", ["fcm", "apns", "wns", "webpush"])
def test_a_credential_is_stored_and_never_shown(
    page: Client, application: Application, administrator: User, accounts: dict[str, Any], service: str
) -> None:
    values = accounts[service]
    typed = {"account": json.dumps(values)} if service == "fcm" else values

    html = page.post(address(application, f"providers/{service}/credential/"), typed, follow=True).content.decode()
    again = page.get(address(application, f"providers/{service}/credential/")).content.decode()

    row = application.credentials.get(push_service=service)
    assert read_credential(row).keys() >= values.keys() - {"type"}
    assert row.fingerprint in html
    secrets = [str(values[name]) for name in ("private_key", "key", "client_secret") if name in values]
    assert not [secret for secret in secrets if secret[:60] in html + again + str(audited("credential.set").after)]


@pytest.mark.parametrize(
    ("service", "typed", "says"),
    [
        ("fcm", {"account": "not json"}, "This is no JSON"),
        ("fcm", {"account": "{}"}, "is missing"),
        (
            "apns",
            {"team_id": "x", "key_id": "y", "topic": "z", "environment": "sandbox", "key": "PRIVATE"},
            "This must",
        ),
        ("wns", {"package_sid": "nonsense", "client_secret": "hush"}, "This must be a package SID"),
        ("webpush", {"subject": "mailto:me@localhost"}, "This must name a real domain"),
    ],
)
def test_what_is_wrong_with_a_credential_is_said_at_its_field(
    page: Client, application: Application, administrator: User, service: str, typed: dict[str, str], says: str
) -> None:
    html = page.post(address(application, f"providers/{service}/credential/"), typed).content.decode()

    assert says in html
    assert "PRIVATE" not in html and "hush" not in html
    assert not application.credentials.exists()


def test_an_api_key_is_shown_once_works_and_is_revoked(
    page: Client, application: Application, administrator: User
) -> None:
    path = address(application, "keys/")
    html = page.post(path, {"label": "Shop", "client_type": "REST", "may_publish": "on"}).content.decode()
    found = re.search(r'id="new-key">([^<]+)<', html)
    assert found
    key = found[1]
    caller = authenticate(str(application.application_id), key)
    assert (caller.api_key.may_publish, caller.api_key.may_register) == (True, False)
    assert key not in page.get(path).content.decode()
    assert key not in str(audited("api_key.create").after)

    row = ApiKey.objects.get(label="Shop")
    page.post(address(application, f"keys/{row.pk}/revoke/"))

    with pytest.raises(WrongApplicationInfo):
        authenticate(str(application.application_id), key)
    assert audited("api_key.revoke").subject == str(row)


def test_a_device_is_deactivated_with_a_reason(page: Client, application: Application) -> None:
    device = application.registrations.all()[0]
    path = address(application, f"devices/{device.pk}/deactivate/")

    assert b"Say why." in page.post(path, {"reason": ""}).content
    page.post(path, {"reason": "Stolen"})

    device.refresh_from_db()
    assert (device.state, device.gone_reason) == (RegistrationState.GONE, "Stolen")
    assert audited("device.deactivate").after == {"state": "gone", "because": "Stolen"}


def test_changing_the_password_ends_the_other_sessions(page: Client, application: Application, marketer: User) -> None:
    elsewhere = Client()
    elsewhere.force_login(marketer)
    new = "another-horse-staple-7"

    page.post("/account/", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})

    assert page.get(address(application)).status_code == 200
    assert elsewhere.get(address(application)).status_code == 302
    assert audited("account.password").subject == "maria"


def test_a_weak_password_is_refused_in_words(page: Client, marketer: User) -> None:
    html = page.post(
        "/account/", {"old_password": PASSWORD, "new_password1": "12345", "new_password2": "12345"}
    ).content.decode()

    assert "too short" in html
    assert "12345" not in html
