"""Keys of simulated Web Push subscriptions, derived from their token so that none has to be stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True, slots=True)
class SubscriptionKeys:
    """What a browser would keep (private) and hand out (public, auth) for one subscription."""

    private_key: ec.EllipticCurvePrivateKey
    public_key: bytes  #: uncompressed point, 65 bytes
    auth: bytes  #: 16 bytes


@lru_cache(maxsize=1024)
def keys_of_token(token: str) -> SubscriptionKeys:
    """Return the keys that belong to a token."""
    seed = hashlib.sha512(b"clarion simulated subscription " + token.encode()).digest()
    private_key = ec.derive_private_key(int.from_bytes(seed[:48], "big") % (P256_ORDER - 1) + 1, ec.SECP256R1())
    public_key = private_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return SubscriptionKeys(private_key, public_key, seed[48:64])
