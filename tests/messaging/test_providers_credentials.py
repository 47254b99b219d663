from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from messaging.providers.credentials import (
    ApnsCredential,
    FcmCredential,
    InvalidCredential,
    WebPushCredential,
    WnsCredential,
)
from tests.messaging.provider_parts import apns_json, ec_pem, fcm_json, rsa_pem, webpush_json, wns_json

P384_PEM = generate_private_key(SECP384R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
Parse = Callable[[Mapping[str, Any]], object]


@pytest.mark.parametrize(
    ("parse", "source", "secret"),
    [
        (FcmCredential.from_json, fcm_json(), rsa_pem()[40:80]),
        (ApnsCredential.from_json, apns_json(), ec_pem()[40:80]),
        (WnsCredential.from_json, wns_json(), "very-secret"),
        (WebPushCredential.from_json, webpush_json(), webpush_json()["private_key"]),
    ],
    ids=["fcm", "apns", "wns", "webpush"],  # the keys are new in each process
)
def test_secrets_never_show(parse: Parse, source: Mapping[str, Any], secret: str) -> None:
    credential = parse(source)

    assert secret not in repr(credential)
    assert secret not in str(credential.public)  # type: ignore[attr-defined]


def test_public_facts_name_the_account() -> None:
    assert FcmCredential.from_json(fcm_json()).public["project_id"] == "demo-project"
    assert ApnsCredential.from_json(apns_json()).public == {
        "team_id": "TEAM567890",
        "key_id": "KEY4567890",
        "topic": "com.example.app",
        "environment": "production",
    }
    assert WnsCredential.from_json(wns_json()).public == {"package_sid": "ms-app://s-1-15-2-1"}


@pytest.mark.parametrize(
    ("parse", "source", "field"),
    [
        (FcmCredential.from_json, {}, "private_key"),
        (FcmCredential.from_json, fcm_json(type="authorized_user"), "type"),
        (FcmCredential.from_json, fcm_json(project_id="../x"), "project_id"),
        (FcmCredential.from_json, fcm_json(project_id=None), "project_id"),
        (FcmCredential.from_json, fcm_json(client_email="nobody"), "client_email"),
        (FcmCredential.from_json, fcm_json(private_key="-----BEGIN x"), "private_key"),
        (FcmCredential.from_json, fcm_json(private_key=ec_pem()), "private_key"),
        (FcmCredential.from_json, fcm_json(private_key=7), "private_key"),
        (ApnsCredential.from_json, apns_json(team_id="short"), "team_id"),
        (ApnsCredential.from_json, apns_json(key_id="key4567890"), "key_id"),
        (ApnsCredential.from_json, apns_json(topic="a\r\nb"), "topic"),
        (ApnsCredential.from_json, apns_json(environment="staging"), "environment"),
        (ApnsCredential.from_json, apns_json(key=rsa_pem()), "key"),
        (ApnsCredential.from_json, apns_json(key=P384_PEM), "key"),
        (WnsCredential.from_json, wns_json(package_sid="s-1-15"), "package_sid"),
        (WnsCredential.from_json, wns_json(client_secret=""), "client_secret"),
        (WebPushCredential.from_json, webpush_json(subject="ops@example.com"), "subject"),
        (WebPushCredential.from_json, webpush_json(subject="mailto:ops@localhost"), "subject"),
        (WebPushCredential.from_json, webpush_json(subject="https://localhost/x.y"), "subject"),
        (WebPushCredential.from_json, webpush_json(private_key="!"), "private_key"),
        (WebPushCredential.from_json, webpush_json(private_key="AAAA"), "private_key"),
        (WebPushCredential.from_json, webpush_json(private_key="A" * 43), "private_key"),
    ],
)
def test_unusable_credential_names_its_field(parse: Parse, source: Mapping[str, Any], field: str) -> None:
    with pytest.raises(InvalidCredential) as caught:
        parse(source)

    assert caught.value.field == field


def test_missing_vapid_key_is_generated_and_can_be_stored() -> None:
    made = WebPushCredential.from_json({"subject": "mailto:ops@example.com"})
    read_back = WebPushCredential.from_json(made.to_json())

    assert read_back.public_key == made.public_key
    assert made.public_key != WebPushCredential.from_json({"subject": "mailto:ops@example.com"}).public_key
