"""Where a segment query is asked: what its SQL may take for granted about the registrations it judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Protocol


class Lookups(Protocol):
    """What is asked before the SQL is written.

    Of ids the planner knows how many rows there are, of a subquery it guesses: it read a million for a channel of
    fifty. Part of an OR, ids also let indexes find a few devices of all. None: too many to be named one by one.
    """

    def channel_ids(self, names: Sequence[str]) -> list[int]:
        """Of the application's channels with these names."""

    def channels_like(self, pattern: str) -> list[int] | None:
        """Ids of the application's channels with names like PostgreSQL's pattern."""

    def listeners(self, channel_ids: Sequence[int]) -> list[int] | None:
        """Ids of the registrations that listen to one of the channels."""

    def users(self, condition: str, params: Sequence[Any]) -> list[str] | None:
        """Object ids of the users `u` of whom the condition holds."""


class _NoLookups:
    """Asks no database."""

    def channel_ids(self, names: Sequence[str]) -> list[int]:
        return []

    def channels_like(self, pattern: str) -> list[int] | None:
        return []

    def listeners(self, channel_ids: Sequence[int]) -> list[int] | None:
        return []

    def users(self, condition: str, params: Sequence[Any]) -> list[str] | None:
        return []


class Reading(Enum):
    """How many registrations are judged in one go, and so what is cheaper."""

    ALL = "all"  #: of an application: users are joined
    SEARCH = "search"  #: a range of ids, of which few match: by whatever index finds them
    SCAN = "scan"  #: all of some ten thousand ids: users are looked up, the channels' listeners hashed
    SAMPLE = "sample"  #: few of a large table: each is looked up by itself, whatever the planner prefers


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Registrations of one application."""

    application_pk: int
    lookups: Lookups
    heard: int | None = None  #: a channel that all of them listen to
    #: only those with above < id <= through; the planner does not carry a range over to what it joins
    ids: tuple[int, int] | None = None
    reading: Reading = Reading.ALL
    #: no join can stand for EXISTS there, and the planner believes that each is looked up
    is_within_or: bool = False

    def exists(self, sql: str) -> str:
        """Whether the query has a row."""
        if self.reading in (Reading.SCAN, Reading.SAMPLE):
            return looked_up(sql)
        return f"EXISTS (SELECT 1 {sql})"

    def within_or(self) -> Scope:
        """For the parts of an OR."""
        return replace(self, is_within_or=True)


def looked_up(sql: str) -> str:
    """Whether the query has a row: a scalar subquery, which is neither turned into a join nor hashed."""
    return f"coalesce((SELECT true {sql} LIMIT 1), false)"


#: for looking at the grammar alone
NOWHERE = Scope(application_pk=0, lookups=_NoLookups())
