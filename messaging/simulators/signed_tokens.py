"""JSON Web Tokens (RFC 7519) as the services check them, and the bearer tokens our token endpoints issue."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

#: Verified headers are remembered, since a sender uses one for an hour and a check costs 0.1 ms; this many at most,
#: for senders that sign every request anew.
REMEMBERED_TOKENS = 10_000

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class BadToken(ValueError):
    """The token is no JWT, or its signature is not by the key."""


@dataclass(frozen=True, slots=True)
class Jwt:
    """A parsed token; nothing of it is verified but its form."""

    header: dict[str, object]
    claims: dict[str, object]
    signed: bytes
    signature: bytes

    def verify(self, key: PublicKey) -> None:
        """Check `alg` and the signature. Raises BadToken."""
        if self.header.get("alg") != ("RS256" if isinstance(key, rsa.RSAPublicKey) else "ES256"):
            raise BadToken("wrong alg")
        try:
            self._check_signature(key)
        except InvalidSignature as err:
            raise BadToken("wrong signature") from err

    def _check_signature(self, key: PublicKey) -> None:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(self.signature, self.signed, padding.PKCS1v15(), hashes.SHA256())
            return
        if len(self.signature) != 64:  # r and s side by side, RFC 7518 3.4; never DER
            raise BadToken("signature is not 64 bytes")
        r, s = (int.from_bytes(half, "big") for half in (self.signature[:32], self.signature[32:]))
        key.verify(encode_dss_signature(r, s), self.signed, ec.ECDSA(hashes.SHA256()))

    def seconds(self, claim: str) -> float | None:
        """Return a NumericDate claim, None when absent or no number."""
        value = self.claims.get(claim)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def parse_jwt(text: str) -> Jwt:
    """Take a compact JWT apart. Raises BadToken."""
    parts = text.split(".")
    if len(parts) != 3:
        raise BadToken("not three parts")
    try:
        header = msgspec.json.decode(from_base64url(parts[0]), type=dict[str, object])
        claims = msgspec.json.decode(from_base64url(parts[1]), type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError) as err:
        raise BadToken("header or claims are no JSON object") from err
    return Jwt(header, claims, f"{parts[0]}.{parts[1]}".encode(), from_base64url(parts[2]))


def from_base64url(text: str) -> bytes:
    """Decode unpadded base64url (padding is tolerated). Raises BadToken."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as err:
        raise BadToken("not base64url") from err


def to_base64url(raw: bytes) -> str:
    """Encode as unpadded base64url."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class TokenIssuer:
    """Issues and recognises bearer tokens. They carry their expiry and a MAC, so a restart keeps them valid."""

    def __init__(self, prefix: str, secret: bytes, life_s: int) -> None:
        self.life_s = life_s
        self._prefix = prefix
        self._secret = secret

    def issue(self) -> str:
        """Return a new token."""
        body = f"{int(time.time()) + self.life_s:x}.{secrets.token_hex(12)}"
        return f"{self._prefix}{body}.{self._mac(body)}"

    def is_ours(self, token: str) -> bool:
        """Whether this issuer made the token."""
        body, _, mac = token.removeprefix(self._prefix).rpartition(".")
        return token.startswith(self._prefix) and hmac.compare_digest(mac.encode(), self._mac(body).encode())

    def is_expired(self, token: str) -> bool:
        """Whether a token of ours is past its life."""
        return int(token.removeprefix(self._prefix).split(".")[0], 16) <= time.time()

    def _mac(self, body: str) -> str:
        return hmac.new(self._secret, (self._prefix + body).encode(), hashlib.sha256).hexdigest()[:40]


def remember(seen: dict[str, float], token: str, moment: float) -> None:
    """Keep a verified token's time, forgetting everything when there are too many."""
    if len(seen) >= REMEMBERED_TOKENS:
        seen.clear()
    seen[token] = moment


def bearer_of(authorization: str) -> str:
    """Return the token of a `Bearer` authorization header, "" for anything else."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
