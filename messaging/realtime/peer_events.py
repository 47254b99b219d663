"""What socket processes tell each other over the bus."""

from __future__ import annotations

import msgspec


class Arrival(msgspec.Struct, array_like=True, frozen=True):
    """Somebody on a channel."""

    application_pk: int
    channel_name: str
    connection_id: str
    user_id: str | None


class Change(msgspec.Struct, array_like=True, frozen=True):
    """Somebody arrived on a channel, became another user, or left."""

    who: Arrival
    is_here: bool


class News(msgspec.Struct, tag="news", frozen=True):
    """A process lives; these changes happened there."""

    process: str
    changes: list[Change]


class Roster(msgspec.Struct, tag="roster", frozen=True):
    """Everybody on a process: whom it does not name is not there."""

    process: str
    arrivals: list[Arrival]
    asks: bool = False  #: for the rosters of the others
    ends: bool = False


class Command(msgspec.Struct, tag="command", frozen=True):
    """A PUB_SUB_COMMAND for the subscribers of a channel."""

    application_pk: int
    channel_name: str
    content: msgspec.Raw  #: as subscribers get it


PeerMessage = News | Roster | Command

_decoder: msgspec.json.Decoder[PeerMessage] = msgspec.json.Decoder(PeerMessage)


def decode(text: str) -> PeerMessage:
    """What another process, perhaps of another version, told. Raises msgspec.DecodeError."""
    return _decoder.decode(text)
