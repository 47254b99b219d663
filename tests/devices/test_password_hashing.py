"""How many passwords are hashed at a time."""

from __future__ import annotations

import threading
import time

import pytest
from django.contrib.auth.hashers import check_password, identify_hasher, make_password

from devices.errors import TooManyRequests
from devices.password_hashing import AT_A_TIME, WAITING, BoundedArgon2, Gate


@pytest.fixture
def cheap_passwords() -> None:
    """Here they cost what they cost in production."""


def test_passwords_are_hashed_by_the_bounded_hasher() -> None:
    stored = make_password("a long secret")

    assert isinstance(identify_hasher(stored), BoundedArgon2)
    assert stored.startswith("argon2$argon2id$v=19$m=102400,")
    assert check_password("a long secret", stored)
    assert not check_password("another", stored)


def test_one_more_than_may_work_and_wait_is_turned_away_at_once() -> None:
    gate = Gate(1, 1)
    with gate.entered():
        waiter = threading.Thread(target=lambda: gate.entered(5.0).__enter__())
        waiter.start()
        _wait_until_full(gate)
        began = time.monotonic()
        with pytest.raises(TooManyRequests), gate.entered(5.0):
            pass
        assert time.monotonic() - began < 1.0
    waiter.join(5.0)
    assert not waiter.is_alive()


def test_whoever_waits_too_long_is_turned_away_and_leaves_no_trace() -> None:
    gate = Gate(1, 1)
    with gate.entered():
        for _ in range(3):
            with pytest.raises(TooManyRequests), gate.entered(0.01):
                pass
    with gate.entered(0.01):
        pass


def test_of_a_hundred_at_once_few_hash_and_the_others_are_told_to_come_back() -> None:
    stored = make_password("a long secret")
    start = threading.Barrier(100)
    results: list[str] = []

    def check() -> None:
        start.wait()
        try:
            results.append("right" if check_password("a long secret", stored) else "wrong")
        except TooManyRequests:
            results.append("later")

    threads = [threading.Thread(target=check) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 100
    assert results.count("right") >= AT_A_TIME + WAITING
    assert set(results) <= {"right", "later"}
    assert check_password("a long secret", stored)


def _wait_until_full(gate: Gate) -> None:
    give_up_at = time.monotonic() + 5.0
    while gate._present._value:  # noqa: SLF001  # until the waiter has come
        assert time.monotonic() < give_up_at
        time.sleep(0.001)
