"""The `Idempotency-Key` header of publish calls."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
from django.http import HttpRequest

from devices.api.envelope import Answer
from devices.api_keys import Caller
from devices.errors import InvalidProperty
from messaging.idempotency import publish_once
from messaging.models import Message

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call asks for: the same again means the same address and body, whatever the order of its keys."""

    address: str
    body: Mapping[str, object]

    def digest(self) -> bytes:
        """To compare by."""
        return hashlib.sha256(msgspec.json.encode([self.address, self.body], order="deterministic")).digest()


def published(
    caller: Caller,
    request: HttpRequest,
    asked: Asked,
    publish: Callable[[], Message],
    answer: Callable[[Message], object],
) -> object:
    """Publish, once where the header asks for it, and answer.

    Raises IdempotencyKeyReused (422), IdempotencyKeyInUse (409), InvalidProperty, and what `publish` raises.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return answer(publish())
    if not _KEY.fullmatch(key):
        raise InvalidProperty(f"{HEADER} has 1 to 255 printable ASCII characters without spaces.", field=HEADER)
    once = publish_once(caller.application, key, asked.digest(), publish)
    return Answer(answer(once.message), {REPLAYED: "true"} if once.is_replayed else {})
