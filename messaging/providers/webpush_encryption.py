"""Encrypt a Web Push message for one subscription: RFC 8291 on the `aes128gcm` coding of RFC 8188, one record."""

from __future__ import annotations

import hmac
import os
import struct

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

#: RFC 8291 4: services take bodies up to 4096 bytes; less header (86), tag (16) and delimiter (1).
PLAINTEXT_LIMIT = 3993
_RECORD_SIZE = 4096
_LAST_RECORD_DELIMITER = b"\x02"
_CURVE = SECP256R1()


def encrypt(plaintext: bytes, receiver_key: bytes, auth: bytes) -> bytes:
    """The body to post. `receiver_key` is the 65-byte point, `auth` 16 bytes. Raises ValueError for a bad point.

    The key pair is used once: reuse would link one campaign's messages across endpoints (RFC 8291 2).
    """
    return encrypt_with(plaintext, receiver_key, auth, sender=generate_private_key(_CURVE), salt=os.urandom(16))


def encrypt_with(
    plaintext: bytes, receiver_key: bytes, auth: bytes, *, sender: EllipticCurvePrivateKey, salt: bytes
) -> bytes:
    """`encrypt` with a given key pair and salt, as in the example of RFC 8291 5."""
    receiver = EllipticCurvePublicKey.from_encoded_point(_CURVE, receiver_key)
    sender_key = sender.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = sender.exchange(ECDH(), receiver)
    # HKDF by hand, as every output fits into one block: 5 HMACs take 12 us, the HKDF objects several times that.
    key_info = b"WebPush: info\x00" + receiver_key + sender_key
    ikm = _hmac(_hmac(auth, shared), key_info + b"\x01")
    prk = _hmac(salt, ikm)
    content_key = _hmac(prk, b"Content-Encoding: aes128gcm\x00\x01")[:16]
    nonce = _hmac(prk, b"Content-Encoding: nonce\x00\x01")[:12]
    header = salt + struct.pack(">IB", _RECORD_SIZE, len(sender_key)) + sender_key
    return header + AESGCM(content_key).encrypt(nonce, plaintext + _LAST_RECORD_DELIMITER, None)


def _hmac(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, "sha256")
