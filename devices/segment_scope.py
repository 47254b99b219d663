"""Where a segment query is asked: what its SQL may take for granted about the registrations it judges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

#: gives the ids of the application's channels with these names
ChannelLookup = Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Registrations of one application.

    Channels are looked up before the SQL is written: for an id the planner knows how many subscriptions there are, for
    a subquery it guesses, and read a million for a channel of fifty.
    """

    application_pk: int
    channel_ids: ChannelLookup
    heard: int | None = None  #: a channel that all of them listen to
    #: only those with above < id <= through; the planner does not carry a range over to what it joins
    ids: tuple[int, int] | None = None
    #: each is looked up by itself, whatever the planner prefers: what is asked about is few of a large table
    is_each_looked_up: bool = False

    def exists(self, sql: str) -> str:
        """Whether the query has a row."""
        # a scalar subquery is neither turned into a join nor hashed
        return f"coalesce((SELECT true {sql} LIMIT 1), false)" if self.is_each_looked_up else f"EXISTS (SELECT 1 {sql})"

    def within_or(self) -> Scope:
        """For the parts of an OR, where no join can stand for EXISTS: the planner would read all users for a range."""
        return self if self.ids is None else replace(self, is_each_looked_up=True)


#: for looking at the grammar alone: asks no database
NOWHERE = Scope(application_pk=0, channel_ids=lambda names: [])
