"""Two of them at once: whoever publishes, edits, cancels, fires and closes the same message, in the worst order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from messaging import closing, control, database
from messaging.drain import Drain
from messaging.errors import CannotCancel, CannotControl
from messaging.ledger import deliveries_of
from messaging.models import Message, MessageStatus, Occurrence, OccurrenceState
from messaging.publishing import cancel, edit, request_of
from messaging.ticker import claim_due
from tests.messaging.stage import Stage, fresh, message_of, wait_until


class Caller:
    """Calls a function in a thread with a database connection of its own."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.error: Exception | None = None
        self._function = function
        self._thread = threading.Thread(target=self._call)
        self._thread.start()

    def _call(self) -> None:
        try:
            self._function()
        except Exception as error:  # noqa: BLE001  # the test looks at it
            self.error = error
        finally:
            connection.close()

    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def join(self) -> Exception | None:
        self._thread.join(20)
        assert self.is_over()
        return self.error


def waiting_for_locks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
        return int(cursor.fetchone()[0])


@contextmanager
def row_of_message_locked(message: Message) -> Iterator[None]:
    """Whoever changes the message meanwhile waits, in the order of arrival."""
    with transaction.atomic():
        Message.objects.select_for_update().get(pk=message.pk)
        yield


def start_blocked(*functions: Callable[[], object]) -> list[Caller]:
    """Start each once the one before it waits for a lock."""
    callers = []
    for function in functions:
        callers.append(Caller(function))
        wait_until(lambda: waiting_for_locks() >= len(callers), 10, "a lock to be waited for")
    return callers


def test_a_message_cancelled_while_its_firing_is_closed_meets_no_deadlock(stage: Stage) -> None:
    occurrence = stage.start("ANDROID")
    Occurrence.objects.filter(pk=occurrence.pk).update(state=OccurrenceState.SENDING, planned_at=Now())
    message = message_of(occurrence)

    with row_of_message_locked(message):
        cancelling, ending = start_blocked(lambda: cancel(message), lambda: closing.close_if_finished(occurrence.pk))

    assert (cancelling.join(), ending.join()) == (None, None)
    assert fresh(occurrence).closed_at is not None
    assert message_of(occurrence).status == MessageStatus.CANCELLED


def test_a_message_cancelled_while_it_is_edited_meets_no_deadlock(stage: Stage) -> None:
    occurrence = stage.publish("ANDROID", publish_at=database.now() + timedelta(hours=1))
    message = message_of(occurrence)

    with row_of_message_locked(message):
        cancelling, editing = start_blocked(
            lambda: cancel(message_of(occurrence)),
            lambda: edit(message, request_of(message), publisher=stage.publisher, seen_version=1),
        )

    assert cancelling.join() is None
    assert isinstance(editing.join(), CannotControl)
    assert Message.objects.get().status == MessageStatus.CANCELLED
    assert claim_due() == 0


def test_two_firings_that_are_closed_at_once_end_the_message(stage: Stage) -> None:
    stage.devices(1, "ANDROID", "400")
    stage.devices(1, "IOS", "400")
    first = stage.start("ANDROID", "IOS")
    Drain().run()
    kinds = [
        control.FailureKind(push_service=row.push_service, outcome=row.outcome, reason=row.reason)  # type: ignore[arg-type]
        for row in deliveries_of(fresh(first))
    ]
    one, other = (control.retry_failed(first, [kind]) for kind in kinds)
    Occurrence.objects.filter(retry_no__gt=0).update(state=OccurrenceState.CANCELLED)
    for occurrence in (one, other):
        occurrence.batches.update(state="done")
    assert message_of(first).status == MessageStatus.SCHEDULED

    with transaction.atomic():
        assert closing.close_if_finished(one.pk)
        closing_other = Caller(lambda: closing.close_if_finished(other.pk))
        wait_until(lambda: closing_other.is_over() or waiting_for_locks() > 0, 10, "the other to be closed or to wait")

    assert closing_other.join() is None
    assert not Occurrence.objects.filter(closed_at=None).exists()
    assert message_of(first).status != MessageStatus.SCHEDULED


@pytest.mark.parametrize("round_", range(10))
def test_a_message_edited_as_it_fires_shows_the_old_or_the_new_text_and_both_sides_agree(
    stage: Stage, round_: int
) -> None:
    stage.devices(2)
    occurrence = stage.publish("ANDROID")
    message = message_of(occurrence)
    changed = request_of(message)
    changed.headers["android-content-text"] = "Changed"  # type: ignore[index]
    together = threading.Barrier(2)

    def change() -> None:
        together.wait()
        edit(message, changed, publisher=stage.publisher, seen_version=1)

    changing = Caller(change)
    together.wait()
    claim_due()
    refused = changing.join()
    claim_due()
    Drain().run()

    shown = {entry["notification"]["message"]["notification"]["body"] for entry in stage.requests()}
    assert shown == ({"Hello"} if isinstance(refused, CannotControl) else {"Changed"})
    assert Message.objects.get().content_version == (1 if refused else 2)
    with pytest.raises(CannotControl):
        edit(Message.objects.get(), changed, publisher=stage.publisher, seen_version=2)


def test_of_two_who_cancel_at_once_one_is_told_5040(stage: Stage) -> None:
    occurrence = stage.publish("ANDROID")
    message = message_of(occurrence)

    with row_of_message_locked(message):
        callers = start_blocked(lambda: cancel(message_of(occurrence)), lambda: cancel(message_of(occurrence)))

    errors = [caller.join() for caller in callers]
    assert len([error for error in errors if isinstance(error, CannotCancel)]) == errors.count(None) == 1
