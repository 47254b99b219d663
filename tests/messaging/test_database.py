"""What is asked of the database beside its tables."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.pq import ExecStatus

from messaging import database
from tests.messaging.stage import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def in_copy() -> Iterator[psycopg.Connection]:
    """A session that begins to write outcomes and sends none."""
    session = psycopg.connect(**database.connection_parameters())
    assert session.pgconn.exec_(b"COPY messaging_delivery (tries) FROM STDIN").status == ExecStatus.COPY_IN
    yield session
    session.close()


def rest_of(session: psycopg.Connection) -> int:
    """How the COPY ends when the session sends its end."""
    session.pgconn.put_copy_end()
    answer = session.pgconn.get_result()
    assert answer is not None
    return answer.status


def test_a_session_that_stands_in_the_middle_of_a_copy_is_ended(in_copy: psycopg.Connection) -> None:
    wait_until(lambda: database.end_stuck_copies(after_s=0) == 1, 5, "PostgreSQL to read from the session")

    assert rest_of(in_copy) == ExecStatus.FATAL_ERROR


def test_a_copy_that_has_only_begun_goes_on(in_copy: psycopg.Connection) -> None:
    assert database.end_stuck_copies() == 0

    assert rest_of(in_copy) == ExecStatus.COMMAND_OK
