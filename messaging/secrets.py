"""Encryption of provider secrets at rest: AES-GCM with a key ring of its own, bound to the row they belong to."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import transaction

from devices.models import Application
from devices.push_services import PushService
from messaging import lanes
from messaging.models import Lane, ProviderCredential, StoredAccessToken
from messaging.providers.credentials import ApnsCredential, FcmCredential, WebPushCredential, WnsCredential

_NONCE_BYTES = 12

Credential = FcmCredential | ApnsCredential | WnsCredential | WebPushCredential

_PARSERS: dict[PushService, Callable[[Mapping[str, Any]], Credential]] = {
    PushService.FCM: FcmCredential.from_json,
    PushService.APNS: ApnsCredential.from_json,
    PushService.WNS: WnsCredential.from_json,
    PushService.WEBPUSH: WebPushCredential.from_json,
}


class SecretUnreadable(Exception):
    """A stored secret cannot be decrypted: the key ring lacks its key, or the row was tampered with."""


def encrypt(plaintext: bytes, *, context: str) -> bytes:
    """`<length of key id><key id><nonce><ciphertext>` under the ring's first key.

    `context` names the row and field: a ciphertext moved to another row does not decrypt.
    """
    key_id, key = next(iter(settings.ENCRYPTION_KEYS.items()))
    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, plaintext, context.encode())
    return bytes([len(key_id)]) + key_id.encode() + nonce + sealed


def decrypt(stored: bytes | memoryview, *, context: str) -> bytes:
    """The plaintext. Raises SecretUnreadable."""
    stored = bytes(stored)
    length = stored[0]
    key_id, nonce = stored[1 : 1 + length].decode(), stored[1 + length : 1 + length + _NONCE_BYTES]
    key = settings.ENCRYPTION_KEYS.get(key_id)
    if key is None:
        raise SecretUnreadable(f"The encryption key {key_id!r} is not in the key ring.")
    try:
        return AESGCM(key).decrypt(nonce, stored[1 + length + _NONCE_BYTES :], context.encode())
    except InvalidTag as error:
        raise SecretUnreadable("A stored secret does not belong to its row.") from error


def _context(application: Application, push_service: str) -> str:
    return f"credential/{application.application_id}/{push_service}"


def store_credential(
    application: Application, push_service: PushService, values: Mapping[str, Any]
) -> ProviderCredential:
    """Check and store what `manage.py set_credential` takes; forget the old access tokens, open the lanes.

    Raises messaging.providers.credentials.InvalidCredential.
    """
    credential = _PARSERS[push_service](values)
    # A Web Push key may have been made just now; the others are kept as they were given
    kept = credential.to_json() if isinstance(credential, WebPushCredential) else dict(values)
    secret = json.dumps(kept, sort_keys=True).encode()
    with transaction.atomic():
        row, created = ProviderCredential.objects.select_for_update().get_or_create(
            application=application,
            push_service=push_service,
            defaults={
                "facts": credential.public,
                "secret": encrypt(secret, context=_context(application, push_service)),
                "fingerprint": hashlib.sha256(secret).hexdigest()[:16],
            },
        )
        if not created:
            row.facts = credential.public
            row.secret = encrypt(secret, context=_context(application, push_service))
            row.fingerprint = hashlib.sha256(secret).hexdigest()[:16]
            row.version += 1
            row.checked_at, row.check_ok, row.check_detail = None, None, ""
            row.save()
            StoredAccessToken.objects.filter(credential=row).delete()
        for lane in Lane.objects.filter(application=application, push_service=push_service):
            lanes.resume(lane)
    return row


def read_credential(row: ProviderCredential) -> dict[str, object]:
    """The values as they were stored. Raises SecretUnreadable."""
    values: dict[str, object] = json.loads(decrypt(row.secret, context=_context(row.application, row.push_service)))
    return values
