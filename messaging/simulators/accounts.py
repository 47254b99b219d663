"""The demo accounts of a data directory (made once, private keys in a 0600 file) and demo device tokens."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from messaging.simulators.behaviours import hex_ending, parse_behaviour
from messaging.simulators.saved_files import read_or_make, simulator_dir
from messaging.simulators.signed_tokens import from_base64url, to_base64url
from messaging.simulators.subscription_keys import keys_of_token

PROJECT_ID = "clarion-demo"
TEAM_ID, KEY_ID, TOPIC = "DEMOTEAM01", "DEMOKEY001", "com.example.clarion.demo"


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """What the file holds: both halves of every demo credential."""

    google_private_key: str  #: PEM
    google_private_key_id: str
    google_client_email: str
    apns_private_key: str  #: PEM
    wns_package_sid: str
    wns_client_secret: str
    vapid_private_key: str  #: base64url of the 32-byte scalar
    token_secret: str  #: MAC key of the bearer tokens we issue

    def google_public_key(self) -> rsa.RSAPublicKey:
        """The key Google would check assertions with."""
        key = load_pem_private_key(self.google_private_key.encode(), None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError("The demo service account's key is not RSA.")
        return key.public_key()

    def apns_public_key(self) -> ec.EllipticCurvePublicKey:
        """The key Apple would check provider tokens with."""
        key = load_pem_private_key(self.apns_private_key.encode(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("The demo APNs key is not EC.")
        return key.public_key()

    def vapid_public_key(self) -> bytes:
        """The application server key demo subscriptions are bound to, 65 bytes."""
        scalar = int.from_bytes(from_base64url(self.vapid_private_key), "big")
        public = ec.derive_private_key(scalar, ec.SECP256R1()).public_key()
        return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def load_accounts(folder: Path) -> Accounts:
    """Return the accounts kept in the simulators' folder, made on first use."""
    return msgspec.json.decode(read_or_make(folder / "accounts.json", _new_accounts), type=Accounts)


def demo_accounts(data_dir: str | Path, urls: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return, per push service, the JSON that `manage.py set_credential` takes; `urls` as the simulators print them."""
    accounts = load_accounts(simulator_dir(data_dir))
    return {
        "fcm": _service_account(accounts, urls["google_token"]),
        "apns": {
            "team_id": TEAM_ID,
            "key_id": KEY_ID,
            "topic": TOPIC,
            "environment": "production",
            "key": accounts.apns_private_key,
        },
        "wns": {"package_sid": accounts.wns_package_sid, "client_secret": accounts.wns_client_secret},
        "webpush": {"subject": "mailto:demo@clarion.example", "private_key": accounts.vapid_private_key},
    }


def demo_token(push_service: str, n: int, behaviour: str = "", *, urls: Mapping[str, str] | None = None) -> str:
    """Return the device token app number `n` would register, always the same for the same arguments.

    WNS channel URIs and Web Push subscriptions hold the simulators' addresses, so these two need `urls`.
    Raises UnknownBehaviour.
    """
    asked = parse_behaviour(behaviour)
    seed = hashlib.sha512(f"clarion demo {push_service} {n}".encode()).digest()
    if push_service == "apns":
        return f"{seed.hex()[:48]}{n:08x}{hex_ending(asked)}"
    ending = f"n{n}" + (f"-{behaviour}" if behaviour else "")
    if push_service == "fcm":
        return f"c{to_base64url(seed)[:21]}:APA91b{_letters(seed, 124)}{ending}"
    if urls is None:
        raise ValueError(f"A demo token of {push_service} holds the simulators' address: pass urls.")
    if push_service == "wns":
        return f"{urls['wns']}/w/AwYAAA{_letters(seed, 60)}{ending}"
    return _subscription(urls["webpush"], f"gAAAAA{_letters(seed, 80)}{ending}")


def token_in_log(device_token: str) -> str:
    """Return what the request log calls a device token: itself, or the last part of its URL."""
    if device_token.startswith("{"):
        device_token = msgspec.json.decode(device_token, type=dict[str, object])["endpoint"]  # type: ignore[assignment]
    return urlsplit(device_token).path.rpartition("/")[2] if device_token.startswith("https:") else device_token


def _letters(seed: bytes, length: int) -> str:
    return to_base64url(hashlib.shake_256(seed).digest(length))[:length]


def _subscription(base: str, token: str) -> str:
    keys = keys_of_token(token)
    subscription = {
        "endpoint": f"{base}/push/{token}",
        "expirationTime": None,
        "keys": {"p256dh": to_base64url(keys.public_key), "auth": to_base64url(keys.auth)},
    }
    return msgspec.json.encode(subscription).decode()


def _service_account(accounts: Accounts, token_uri: str) -> dict[str, str]:
    return {
        "type": "service_account",
        "project_id": PROJECT_ID,
        "private_key_id": accounts.google_private_key_id,
        "private_key": accounts.google_private_key,
        "client_email": accounts.google_client_email,
        "client_id": "100000000000000000001",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "universe_domain": "googleapis.com",
    }


def _new_accounts() -> bytes:
    accounts = Accounts(
        google_private_key=_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        google_private_key_id=secrets.token_hex(20),
        google_client_email=f"firebase-adminsdk-demo@{PROJECT_ID}.iam.gserviceaccount.com",
        apns_private_key=_pem(ec.generate_private_key(ec.SECP256R1())),
        wns_package_sid="ms-app://s-1-15-2-" + "-".join(str(secrets.randbelow(2**32)) for _ in range(7)),
        wns_client_secret=secrets.token_urlsafe(24),
        vapid_private_key=to_base64url(
            ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32, "big")
        ),
        token_secret=secrets.token_hex(32),
    )
    return msgspec.json.encode(accounts)


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
