"""The list of messages: one row each with its state and its numbers, in a constant number of queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from django.db.models import F, QuerySet
from django.db.models.expressions import RawSQL

from devices.models import Application
from devices.push_services import Os, OsMask
from messaging.ledger import Ledger, ledgers_of
from messaging.models import Message, MessageStatus, Occurrence, OccurrenceState
from messaging.publishing import PublishRequest, request_of
from messaging.rendering import body_text

PAGE_LENGTH = 50
#: publisher id of test sends from the composer, by which lists tell them from campaigns
TRIAL_PUBLISHER = "console-test"
#: the firing or retry that began last, else the first to come
LATEST_FIRST = (F("claimed_at").desc(nulls_last=True), F("closed_at").asc(nulls_first=True), "n")


class Tone(Enum):
    """How a state is coloured; never by colour alone, the word stands beside it."""

    QUIET = "quiet"
    ACTIVE = "active"
    GOOD = "good"
    MIXED = "mixed"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class State:
    """Where a message is, in one word."""

    word: str
    tone: Tone


class StatusFilter(Enum):
    """Tabs of the list."""

    ALL = "all"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def label(self) -> str:
        """The word on the tab."""
        return self.value.capitalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    """One message of the list."""

    message: Message
    text: str
    audience: str
    state: State
    ledger: Ledger
    at: datetime  #: when it was or will be sent
    author: str


@dataclass(frozen=True, slots=True)
class MessageList:
    """One page of the list."""

    rows: list[MessageRow]
    next_before: int | None  #: key of the next page, None at the end


def message_list(application: Application, status: StatusFilter, search: str, before: int | None) -> MessageList:
    """The newest messages first, `before` the key of the page above. Three queries."""
    query = _filtered(application.messages.select_related("author", "api_key"), status)
    if search:
        query = _searched(query, search)
    if before is not None:
        query = query.filter(pk__lt=before)
    messages = list(query.order_by("-pk")[: PAGE_LENGTH + 1])
    shown = messages[:PAGE_LENGTH]
    return MessageList(rows_of(shown), shown[-1].pk if len(messages) > PAGE_LENGTH else None)


def _filtered(query: QuerySet[Message], status: StatusFilter) -> QuerySet[Message]:
    """The wire's SCHEDULED covers what is being sent; the tabs tell the two apart."""
    started = Occurrence.objects.filter(closed_at=None).exclude(state=OccurrenceState.SCHEDULED).values("message")
    match status:
        case StatusFilter.ALL:
            return query
        case StatusFilter.SENDING:
            return query.filter(pk__in=started)
        case StatusFilter.SCHEDULED:
            return query.filter(status=MessageStatus.SCHEDULED).exclude(pk__in=started)
        case StatusFilter.DONE:
            return query.filter(status=MessageStatus.PUBLISHED)
        case StatusFilter.FAILED:
            return query.filter(status=MessageStatus.FAILED)
        case StatusFilter.CANCELLED:
            return query.filter(status=MessageStatus.CANCELLED)


#: by the index `message_words`; OFFSET 0 keeps the planner from reading all messages backwards for a rare word
_FOUND = """
SELECT id FROM messaging_message
WHERE to_tsvector('simple', channel_name || ' ' || left(body::text, 8000)) @@ to_tsquery('simple', %s) OFFSET 0
"""


def _searched(query: QuerySet[Message], search: str) -> QuerySet[Message]:
    """By message id, as the API writes it or bare; else by the beginnings of words of its text and channel."""
    try:
        return query.filter(message_id=UUID(search.removeprefix("message:")))
    except ValueError:
        pass
    if not any(character.isalnum() for character in search):
        return query.none()
    words = [word.replace("\\", "").replace("'", "''") for word in search.split()]
    wanted = " & ".join(f"'{word}':*" for word in words if any(character.isalnum() for character in word))
    return query.filter(pk__in=RawSQL(_FOUND, [wanted]))  # noqa: S611  # the words go as a parameter


def rows_of(messages: list[Message]) -> list[MessageRow]:
    """Rows for messages; two queries for all of them."""
    occurrences = latest_occurrences(messages)
    ledgers = ledgers_of(occurrences.values())
    rows = []
    for message in messages:
        occurrence = occurrences.get(message.pk)
        ledger = ledgers[occurrence.pk] if occurrence else Ledger()
        rows.append(
            MessageRow(
                message=message,
                text=body_text(message.body),
                audience=audience_words(message),
                state=state_of(message, occurrence, ledger),
                ledger=ledger,
                at=occurrence.due_at if occurrence else message.created_at,
                author=author_of(message),
            )
        )
    return rows


def latest_occurrences(messages: Iterable[Message]) -> dict[int, Occurrence]:
    """The firing a row speaks of, by message: the last that has begun, else the first to come."""
    found = Occurrence.objects.filter(message__in=[message.pk for message in messages])
    latest = found.order_by("message_id", *LATEST_FIRST).distinct("message_id")
    return {occurrence.message_id: occurrence for occurrence in latest}


def state_of(message: Message, occurrence: Occurrence | None, ledger: Ledger) -> State:
    """The word for where a message is."""
    if message.status == MessageStatus.CANCELLED or (occurrence and occurrence.state == OccurrenceState.CANCELLED):
        return _ended_early(message, occurrence)
    if occurrence is None or occurrence.state == OccurrenceState.SCHEDULED:
        return State("Scheduled", Tone.QUIET)
    if occurrence.state == OccurrenceState.SKIPPED:
        return State("Skipped", Tone.QUIET)
    if occurrence.closed_at is not None:
        return _end_state(message, ledger)
    if occurrence.paused_at is not None:
        return State("Paused", Tone.MIXED)
    is_planning = occurrence.state == OccurrenceState.PLANNING
    return State("Resolving audience" if is_planning else "Sending", Tone.ACTIVE)


def _ended_early(message: Message, occurrence: Occurrence | None) -> State:
    """Cancelled is the whole message, stopped one firing of it, left out one that had not begun."""
    if occurrence is not None and occurrence.closed_at is None:
        return State("Stopping", Tone.ACTIVE)
    if message.status == MessageStatus.CANCELLED:
        return State("Cancelled", Tone.QUIET)
    return State("Stopped" if occurrence is not None and occurrence.claimed_at else "Left out", Tone.QUIET)


def _end_state(message: Message, ledger: Ledger) -> State:
    if message.status == MessageStatus.FAILED or (ledger.failed and not ledger.accepted):
        return State("Failed", Tone.BAD)
    if ledger.failed:
        return State("Done, partly failed", Tone.MIXED)
    return State("Done", Tone.GOOD)


def audience_words(message: Message) -> str:
    """Whom the message is for, in a few words."""
    words = _whom(request_of(message))
    if message.publisher_id == TRIAL_PUBLISHER:
        return f"Test, {words}"
    return f"{words}, only a segment" if message.segment_query else words


def _whom(request: PublishRequest) -> str:
    oses = request.target_oses()
    if oses == ():
        return "Pub/sub only"
    if oses is None:
        count = len(request.push_singlecast or ())
        return f"{count:,} named device{'' if count == 1 else 's'}"
    if request.push_broadcast == OsMask.ALL or set(oses) == set(Os):
        return "Everyone in the channel"
    return ", ".join(os.label for os in oses)


def author_of(message: Message) -> str:
    """Who published it: a person, or the key it came with."""
    if message.author is not None:
        return message.author.get_username()
    if message.api_key is not None:
        return f"API key {message.api_key.label}"
    return "API"
