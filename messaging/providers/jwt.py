"""Sign JSON Web Tokens (RFC 7519) with ES256 or RS256; only what push services ask for."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256


def sign_es256(key: EllipticCurvePrivateKey, claims: Mapping[str, str | int], *, key_id: str = "") -> str:
    """A token signed on P-256 (RFC 7518 3.4); the header carries `kid` where one is given."""
    signing_input = _signing_input({"alg": "ES256", "typ": "JWT"}, claims, key_id)
    r, s = decode_dss_signature(key.sign(signing_input, ECDSA(SHA256())))
    return _join(signing_input, r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def sign_rs256(key: RSAPrivateKey, claims: Mapping[str, str | int], *, key_id: str = "") -> str:
    """A token signed with RSASSA-PKCS1-v1_5 (RFC 7518 3.3)."""
    signing_input = _signing_input({"alg": "RS256", "typ": "JWT"}, claims, key_id)
    return _join(signing_input, key.sign(signing_input, PKCS1v15(), SHA256()))


def base64url(octets: bytes) -> str:
    """base64url without padding (RFC 7515 2)."""
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """The octets of base64url text, padded or not. Raises ValueError."""
    text = text.rstrip("=")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _signing_input(header: dict[str, str], claims: Mapping[str, str | int], key_id: str) -> bytes:
    if key_id:
        header["kid"] = key_id
    return b".".join(base64url(json.dumps(part, separators=(",", ":")).encode()).encode() for part in (header, claims))


def _join(signing_input: bytes, signature: bytes) -> str:
    return f"{signing_input.decode()}.{base64url(signature)}"
