"""Credentials of push services as `manage.py set_credential` takes them, and the access tokens made with them.

Secrets never show in a repr.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, ClassVar, Protocol
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from messaging.providers.jwt import base64url, from_base64url

_TEXT_LIMIT = 16_384
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class InvalidCredential(ValueError):
    """The credential cannot work; `reason` says what to change, without secrets."""

    def __init__(self, field_name: str, reason: str) -> None:
        super().__init__(f"{field_name} {reason}.")
        self.field, self.reason = field_name, reason


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A secret that a push service accepts for a while. Times are aware."""

    value: str = field(repr=False)
    issued_at: datetime
    expires_at: datetime

    def life_used(self, now: datetime) -> float:
        """The part of its life that is over: 0 when issued, 1 when expired."""
        return (now - self.issued_at) / (self.expires_at - self.issued_at)


Mint = Callable[[AccessToken | None], AccessToken]


class TokenStore(Protocol):
    """Keeps access tokens for all processes."""

    def get(self, kind: str) -> AccessToken | None:
        """The stored token, however old."""

    def renew(self, kind: str, mint: Mint) -> AccessToken:
        """Store and return what `mint` makes; one at a time over all processes.

        `mint` is called with what is stored at that moment and may return it unchanged: somebody else was faster.
        What it raises comes through, and the stored token stays.
        """


class MemoryTokenStore:
    """A TokenStore for one process."""

    def __init__(self) -> None:
        self._tokens: dict[str, AccessToken] = {}
        self._lock = threading.Lock()

    def get(self, kind: str) -> AccessToken | None:
        """The stored token, however old."""
        return self._tokens.get(kind)

    def renew(self, kind: str, mint: Mint) -> AccessToken:
        """Store and return what `mint` makes; one at a time."""
        with self._lock:
            token = self._tokens[kind] = mint(self._tokens.get(kind))
            return token


@dataclass(frozen=True, slots=True, kw_only=True)
class FcmCredential:
    """A Google service account, as in Google's JSON file. Its `token_uri` is never used: it could be any URL."""

    project_id: str
    client_email: str
    private_key_id: str
    private_key: RSAPrivateKey = field(repr=False)

    @classmethod
    def from_json(cls, source: Mapping[str, Any]) -> FcmCredential:
        """Raises InvalidCredential."""
        if source.get("type", "service_account") != "service_account":
            raise InvalidCredential("type", "must be service_account: download a key of a Google service account")
        key = _private_key(source, "private_key")
        if not isinstance(key, RSAPrivateKey):
            raise InvalidCredential("private_key", "must be an RSA key")
        return cls(
            # Part of the request path, hence the narrow alphabet.
            project_id=_matching(source, "project_id", r"[a-z0-9][a-z0-9:.\-]{1,99}", "a Firebase project id"),
            client_email=_matching(source, "client_email", r"[!-?A-~]+@[!-?A-~]+", "an e-mail address"),
            private_key_id=_matching(source, "private_key_id", r"[A-Za-z0-9_\-]{0,100}", "a key id", default=""),
            private_key=key,
        )

    @property
    def public(self) -> dict[str, str]:
        """What may be shown."""
        return {
            "project_id": self.project_id,
            "client_email": self.client_email,
            "private_key_id": self.private_key_id,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ApnsCredential:
    """An APNs authentication key (.p8) with the app it is for."""

    team_id: str
    key_id: str
    topic: str  #: bundle id
    environment: str  #: "production" or "sandbox"
    key: EllipticCurvePrivateKey = field(repr=False)

    ENVIRONMENTS: ClassVar[tuple[str, ...]] = ("production", "sandbox")

    @classmethod
    def from_json(cls, source: Mapping[str, Any]) -> ApnsCredential:
        """Raises InvalidCredential."""
        key = _private_key(source, "key")
        if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
            raise InvalidCredential("key", "must be a P-256 key: the .p8 file that Apple gives")
        return cls(
            team_id=_matching(source, "team_id", r"[A-Z0-9]{10}", "10 capital letters and digits"),
            key_id=_matching(source, "key_id", r"[A-Z0-9]{10}", "10 capital letters and digits"),
            topic=_matching(source, "topic", r"[A-Za-z0-9][A-Za-z0-9.\-]{0,254}", "the app's bundle id"),
            environment=_matching(source, "environment", "production|sandbox", "production or sandbox"),
            key=key,
        )

    @property
    def public(self) -> dict[str, str]:
        """What may be shown."""
        return {
            "team_id": self.team_id,
            "key_id": self.key_id,
            "topic": self.topic,
            "environment": self.environment,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class WnsCredential:
    """A Windows app's package SID and secret from the Partner Center."""

    package_sid: str
    client_secret: str = field(repr=False)

    @classmethod
    def from_json(cls, source: Mapping[str, Any]) -> WnsCredential:
        """Raises InvalidCredential."""
        return cls(
            package_sid=_matching(source, "package_sid", r"ms-app://[!-~]{1,500}", "a package SID (ms-app://...)"),
            client_secret=_matching(source, "client_secret", r"[!-~]{1,500}", "the app's client secret"),
        )

    @property
    def public(self) -> dict[str, str]:
        """What may be shown."""
        return {"package_sid": self.package_sid}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPushCredential:
    """A VAPID key pair (RFC 8292) and the contact that push services may write to."""

    subject: str
    private_key: EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def from_json(cls, source: Mapping[str, Any]) -> WebPushCredential:
        """A missing `private_key` is generated; `to_json()` must then be stored. Raises InvalidCredential."""
        subject = _matching(source, "subject", r"(mailto:|https://)[!-~]{3,500}", "a mailto: or https:// address")
        _refuse_local_subject(subject)
        encoded = source.get("private_key") or None
        key = generate_private_key(SECP256R1()) if encoded is None else _vapid_key(_text(source, "private_key"))
        return cls(subject=subject, private_key=key)

    def to_json(self) -> dict[str, str]:
        """The JSON to store, with the secret."""
        scalar = self.private_key.private_numbers().private_value
        return {"subject": self.subject, "private_key": base64url(scalar.to_bytes(32, "big"))}

    @property
    def public_key(self) -> str:
        """The `applicationServerKey` that browsers subscribe with."""
        point = self.private_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return base64url(point)

    @property
    def public(self) -> dict[str, str]:
        """What may be shown."""
        return {"subject": self.subject, "public_key": self.public_key}


def token_kind(push_service: str, *parts: str) -> str:
    """The store's name for the access tokens of one credential; another credential never finds them."""
    return f"{push_service}:{blake2b(chr(0).join(parts).encode(), digest_size=12).hexdigest()}"


def _text(source: Mapping[str, Any], name: str, default: str | None = None) -> str:
    content = source.get(name, default)
    if content is None:
        raise InvalidCredential(name, "is missing")
    if not isinstance(content, str) or len(content) > _TEXT_LIMIT:
        raise InvalidCredential(name, "must be text")
    return content.strip()


def _matching(source: Mapping[str, Any], name: str, pattern: str, wanted: str, default: str | None = None) -> str:
    content = _text(source, name, default)
    if not re.fullmatch(pattern, content):
        raise InvalidCredential(name, f"must be {wanted}")
    return content


def _private_key(source: Mapping[str, Any], name: str) -> object:
    pem = _text(source, name).encode()
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidCredential(name, "must be a private key in PEM form, without a password") from error


def _vapid_key(encoded: str) -> EllipticCurvePrivateKey:
    try:
        scalar = from_base64url(encoded)
    except ValueError as error:
        raise InvalidCredential("private_key", "must be base64url") from error
    if len(scalar) != 32 or not 0 < int.from_bytes(scalar, "big") < _P256_ORDER:
        raise InvalidCredential("private_key", "must be a P-256 private key: 32 bytes as base64url")
    return derive_private_key(int.from_bytes(scalar, "big"), SECP256R1())


def _refuse_local_subject(subject: str) -> None:
    """Apple's push service answers 403 BadJwtToken for a subject at localhost (web-push-libs/web-push#947)."""
    address = subject.removeprefix("mailto:")
    host = urlsplit(subject).hostname if subject.startswith("https://") else address.rpartition("@")[2]
    if not host or "." not in host or host.endswith(".localhost"):
        raise InvalidCredential("subject", "must name a real domain: Apple refuses localhost")
