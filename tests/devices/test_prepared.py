"""Prepared statements, which keep a cursor for as long as there is the connection it belongs to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DataError, connection

from devices.prepared import fetch_all

pytestmark = pytest.mark.django_db(transaction=True)

_DIVIDE = "SELECT %(dividend)s::int / %(divisor)s::int, pg_backend_pid()"


def _backend() -> int:
    ((quotient, backend),) = fetch_all(_DIVIDE, {"dividend": 6, "divisor": 2})
    assert quotient == 3
    return int(backend)


def test_statements_go_over_the_connection_that_replaced_a_closed_one() -> None:
    before = _backend()
    connection.close()
    assert _backend() != before


def test_a_statement_that_fails_leaves_the_next_one_alone() -> None:
    with pytest.raises(DataError):
        fetch_all(_DIVIDE, {"dividend": 6, "divisor": 0})
    assert _backend() == _backend()


def test_each_thread_has_a_connection_of_its_own() -> None:
    def backend_of_thread() -> int:
        try:
            return _backend()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(backend_of_thread).result() != _backend()
