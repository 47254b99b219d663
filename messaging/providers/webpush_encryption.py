"""Encrypt a Web Push message for one subscription: RFC 8291 on the `aes128gcm` coding of RFC 8188, one record."""

from __future__ import annotations

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
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

#: RFC 8291 4: services take bodies up to 4096 bytes; less header (86), tag (16) and delimiter (1).
PLAINTEXT_LIMIT = 3993
_RECORD_SIZE = 4096
_LAST_RECORD_DELIMITER = b"\x02"
_CURVE, _ECDH, _SHA256 = SECP256R1(), ECDH(), SHA256()


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
    key_info = b"WebPush: info\x00" + receiver_key + sender_key
    ikm = HKDF(_SHA256, 32, auth, key_info).derive(sender.exchange(_ECDH, receiver))
    prk = HKDF.extract(_SHA256, salt, ikm)
    content_key = HKDFExpand(_SHA256, 16, b"Content-Encoding: aes128gcm\x00").derive(prk)
    nonce = HKDFExpand(_SHA256, 12, b"Content-Encoding: nonce\x00").derive(prk)
    header = salt + struct.pack(">IB", _RECORD_SIZE, len(sender_key)) + sender_key
    return header + AESGCM(content_key).encrypt(nonce, plaintext + _LAST_RECORD_DELIMITER, None)
