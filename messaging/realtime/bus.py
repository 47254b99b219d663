"""The bus between publishers and socket processes, and among these: PostgreSQL's NOTIFY, heard when it is committed.

A message goes over it as the id of its occurrence; every socket process loads the row once, if it has subscribers.
What has no row (commands, who is connected) goes in parts of at most 8,000 bytes each, PostgreSQL's limit, sent in
one transaction and therefore heard together.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import msgspec
import psycopg
from django.db import connection, transaction

from messaging import database
from messaging.models import Message, Occurrence, PublishPolicy
from messaging.realtime import peer_events
from messaging.realtime.peer_events import PeerMessage

logger = logging.getLogger(__name__)

MESSAGE_CHANNEL = "clarion_message"
PEER_CHANNEL = "clarion_peer"
#: bytes of one part, below the 7,999 that NOTIFY takes with room for its head
_PART = 7_800
#: silence after which the connection is asked whether it still lives
_QUIET_S = 10.0


@dataclass(frozen=True, slots=True)
class Announcement:
    """A firing that subscribers should get now."""

    occurrence_pk: int
    application_pk: int
    channel_name: str


@dataclass(frozen=True, slots=True)
class PeerEvent:
    """What one socket process tells all of them, itself included."""

    message: PeerMessage


@dataclass(frozen=True, slots=True)
class Listening:
    """Listening begins, or begins again: what was said before may have gone unheard."""


BusEvent = Announcement | PeerEvent | Listening


def announce_published(message: Message, occurrence: Occurrence) -> None:
    """Have live subscribers get a message that is due at once when the surrounding transaction commits.

    They need not wait for a ticker: it takes 10 ms, and 250 ms when it is busy.
    """
    if is_announced_at_once(message):
        _notify(MESSAGE_CHANNEL, f"{occurrence.pk} {place_of(message)}")


def announce_due(message: Message, occurrence: Occurrence) -> None:
    """Have live subscribers get a firing whose time has come, unless they got it when it was published."""
    if _has_subscribers(message) and not (occurrence.n == 1 and is_announced_at_once(message)):
        _notify(MESSAGE_CHANNEL, f"{occurrence.pk} {place_of(message)}")


def is_announced_at_once(message: Message) -> bool:
    """Whether live subscribers get it as soon as it is stored."""
    return _has_subscribers(message) and message.publish_at is None and not message.cron


def place_of(message: Message) -> str:
    """Where it was published; follows the id of its occurrence in an announcement."""
    return f"{message.application_id} {message.channel_name}"


def _has_subscribers(message: Message) -> bool:
    return message.publish_policy != PublishPolicy.PUSH


def tell_peers(message: PeerMessage) -> None:
    """Send it to every socket process."""
    encoded = msgspec.json.encode(message).decode()
    event_id = secrets.token_hex(8)
    # the limit is in bytes, four of which make the longest character
    parts = list(_cut(encoded, _PART // 4 if not encoded.isascii() else _PART))
    with transaction.atomic():
        for number, part in enumerate(parts):
            _notify(PEER_CHANNEL, f"{event_id} {number} {len(parts)} {part}")


def _cut(text: str, size: int) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


def _notify(channel: str, payload: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [channel, payload])


async def listen() -> AsyncIterator[BusEvent]:
    """Everything said from now on, `Listening` first. Raises psycopg.Error or TimeoutError without the database."""
    parts: dict[str, list[str]] = {}
    parameters = {**database.connection_parameters(), "autocommit": True}
    async with await psycopg.AsyncConnection.connect(**parameters) as listener:
        await listener.execute(f"LISTEN {MESSAGE_CHANNEL}")
        await listener.execute(f"LISTEN {PEER_CHANNEL}")
        yield Listening()
        while True:
            async for notify in listener.notifies(timeout=_QUIET_S):
                if notify.channel == MESSAGE_CHANNEL:
                    yield _announcement(notify.payload)
                elif (event := _assembled(parts, notify.payload)) is not None:
                    yield event
            async with asyncio.timeout(_QUIET_S):
                await listener.execute("SELECT 1")


def _announcement(payload: str) -> Announcement:
    occurrence_pk, application_pk, channel_name = payload.split(" ", 2)
    return Announcement(int(occurrence_pk), int(application_pk), channel_name)


def _assembled(parts: dict[str, list[str]], payload: str) -> PeerEvent | None:
    """The event this part completes."""
    event_id, number, count, text = payload.split(" ", 3)
    if number == "0":
        parts.clear()  # parts of one transaction are heard together: nobody else's can be open
        parts[event_id] = []
    if event_id not in parts:
        return None
    parts[event_id].append(text)
    if len(parts[event_id]) < int(count):
        return None
    try:
        return PeerEvent(peer_events.decode("".join(parts.pop(event_id))))
    except msgspec.DecodeError:
        logger.warning("a socket process of another version said what this one does not understand")
        return None
