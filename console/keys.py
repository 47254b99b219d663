"""Keys of the installation: taken from the environment, else made once and kept in the data folder."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from console.environment import ConfigurationError, env_str


@dataclass(frozen=True, slots=True)
class Keys:
    """`{id: 32 bytes}` rings: the first entry makes new values, all of them read old ones."""

    secret_key: str
    api_key_peppers: dict[str, bytes]
    encryption_keys: dict[str, bytes]


def load_keys(data_dir: Path) -> Keys:
    """Rings from CLARION_API_KEY_PEPPERS and CLARION_ENCRYPTION_KEYS ("id:base64,id:base64"), else from `keys.json`.

    Raises ConfigurationError.
    """
    stored = _stored(data_dir / "keys.json")
    return Keys(
        secret_key=stored["secret_key"],
        api_key_peppers=_ring("CLARION_API_KEY_PEPPERS", stored["api_key_peppers"]),
        encryption_keys=_ring("CLARION_ENCRYPTION_KEYS", stored["encryption_keys"]),
    )


def _ring(name: str, stored: str) -> dict[str, bytes]:
    ring: dict[str, bytes] = {}
    for entry in env_str(name, stored).split(","):
        key_id, _, encoded = entry.strip().partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except ValueError as error:
            raise ConfigurationError(f"{name}: the key {key_id!r} is not base64.") from error
        if not key_id or len(key_id) > 16 or len(key) != 32:
            raise ConfigurationError(f"{name} must be a list of id:base64 with 32 bytes each.")
        ring[key_id] = key
    return ring


def _stored(path: Path) -> dict[str, str]:
    """The file's content; made with mode 0600 at first use, by whichever process comes first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(_new_keys()))
        try:
            os.link(draft, path)  # fails if another process was faster: its keys count
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    stored: dict[str, str] = json.loads(path.read_text())
    return stored


def _new_keys() -> dict[str, str]:
    def ring() -> str:
        return "k1:" + base64.b64encode(secrets.token_bytes(32)).decode()

    return {"secret_key": secrets.token_urlsafe(50), "api_key_peppers": ring(), "encryption_keys": ring()}
