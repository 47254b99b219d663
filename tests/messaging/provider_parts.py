"""Credentials and small objects that the provider tests share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from messaging.providers.base import Envelope, HttpAnswer, HttpRequest
from messaging.providers.jwt import base64url, from_base64url

MESSAGE_ID = "message:37C81F70-9B7B-4CF8-FF24-3690D9054F00"
ENVELOPE = Envelope(message_id=MESSAGE_ID, occurrence_id=7, ttl_s=3600)


class NoTransport:
    """A transport that nothing may be sent over: builders and parsers need none."""

    in_flight = 0

    def submit(self, request: HttpRequest) -> None:
        """Refuse."""
        raise AssertionError(f"sent {request}")

    def poll(self, timeout_s: float) -> list[HttpAnswer]:
        """Nothing ever comes."""
        return []

    def close(self) -> None:
        """Nothing to close."""


def answer(status: int, body: object = b"", **headers: str) -> HttpAnswer:
    """An answer with a JSON, text or bytes body; header names with underscores for dashes."""
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpAnswer(1, status, {name.replace("_", "-"): text for name, text in headers.items()}, encoded)


def header_map(request: HttpRequest) -> dict[str, str]:
    """The request's header lines as a dict; they must be printable ASCII."""
    lines = (*request.headers, *request.own_headers)
    assert all(line.isascii() and line.isprintable() for line in lines)
    return dict(line.split(": ", 1) for line in lines)


@cache
def rsa_pem() -> str:
    """A service account's key."""
    key = generate_rsa_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def ec_key() -> EllipticCurvePrivateKey:
    """A P-256 key."""
    return generate_private_key(SECP256R1())


def ec_pem() -> str:
    """`ec_key` as Apple's .p8 file holds it."""
    return ec_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def point_of(key: EllipticCurvePrivateKey) -> bytes:
    """The uncompressed public point, 65 bytes."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def fcm_json(**changes: Any) -> dict[str, Any]:
    """A service-account file."""
    usual = {
        "type": "service_account",
        "project_id": "demo-project",
        "private_key_id": "abc123",
        "private_key": rsa_pem(),
        "client_email": "push@demo-project.iam.gserviceaccount.com",
        "token_uri": "https://evil.example/token",
    }
    return {**usual, **changes}


def apns_json(**changes: Any) -> dict[str, Any]:
    """An APNs credential."""
    usual = {"team_id": "TEAM567890", "key_id": "KEY4567890", "topic": "com.example.app", "environment": "production"}
    return {**usual, "key": ec_pem(), **changes}


def wns_json(**changes: Any) -> dict[str, Any]:
    """A WNS credential."""
    return {"package_sid": "ms-app://s-1-15-2-1", "client_secret": "very-secret", **changes}


def webpush_json(**changes: Any) -> dict[str, Any]:
    """A VAPID credential."""
    scalar = ec_key().private_numbers().private_value
    return {"subject": "mailto:ops@example.com", "private_key": base64url(scalar.to_bytes(32, "big")), **changes}


def jwt_parts(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, claims, signature and what was signed."""
    header, claims, signature = token.split(".")
    return (
        json.loads(from_base64url(header)),
        json.loads(from_base64url(claims)),
        from_base64url(signature),
        f"{header}.{claims}".encode(),
    )


def der_signature(raw: bytes) -> bytes:
    """A JWT's ES256 signature as `cryptography` verifies it."""
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def query_of(body: bytes) -> Mapping[str, str]:
    """The form fields of a token request."""
    return dict(parse_qsl(body.decode(), strict_parsing=True))
