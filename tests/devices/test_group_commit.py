"""Calls of many threads go together: who goes with whom, and what becomes of errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from devices.group_commit import PATIENCE_S, GroupCommit

_PATIENCE_S = 10.0


@dataclass
class Work:
    """Doubles numbers; the first group is held until `go`."""

    groups: list[list[int]] = field(default_factory=list)
    began: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    refuse: Callable[[Sequence[int]], None] = lambda items: None

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.groups.append(list(items))
        self.began.set()
        assert self.go.wait(_PATIENCE_S)
        self.refuse(items)
        return [2 * item for item in items]


def _grouped(work: Work, *, key: Callable[[int], int] = lambda item: item, most: int = 32) -> GroupCommit[int, int]:
    return GroupCommit(work, lambda item: work([item])[0], key=key, most=most)


def _run_while_first_is_held(
    work: Work, group: GroupCommit[int, int], first: int, others: Iterable[int]
) -> list[Future[int]]:
    """Calls from a thread each, the others in their order while the first is under way."""
    items = list(others)
    with ThreadPoolExecutor(1 + len(items)) as pool:
        futures = [pool.submit(group.run, first)]
        assert work.began.wait(_PATIENCE_S)
        for number, item in enumerate(items, start=1):
            futures.append(pool.submit(group.run, item))
            _wait_until(lambda number=number: group.waiting == number)
        work.go.set()
    return futures


def _wait_until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.001)


def test_a_call_alone_goes_by_itself() -> None:
    work = Work()
    work.go.set()
    group = _grouped(work)

    assert [group.run(1), group.run(2)] == [2, 4]
    assert work.groups == [[1], [2]]


def test_calls_that_come_while_one_is_under_way_go_together() -> None:
    work = Work()

    futures = _run_while_first_is_held(work, _grouped(work), 1, [2, 3, 4, 5])

    assert [future.result() for future in futures] == [2, 4, 6, 8, 10]
    assert work.groups == [[1], [2, 3, 4, 5]]


def test_a_group_takes_no_more_than_it_may() -> None:
    work = Work()

    futures = _run_while_first_is_held(work, _grouped(work, most=2), 1, [2, 3, 4, 5, 6])

    assert [future.result() for future in futures] == [2, 4, 6, 8, 10, 12]
    assert work.groups == [[1], [2, 3], [4, 5], [6]]


def test_calls_of_one_key_go_one_after_the_other_in_their_order() -> None:
    work = Work()

    futures = _run_while_first_is_held(work, _grouped(work, key=lambda item: item % 10), 1, [2, 12, 3, 22, 13])

    assert [future.result() for future in futures] == [2, 4, 24, 6, 44, 26]
    assert work.groups == [[1], [2, 3], [12, 13], [22]]


def test_an_error_in_a_group_reaches_nobody_but_its_cause() -> None:
    def refuse(items: Sequence[int]) -> None:
        if 3 in items:
            raise ValueError("three")

    work = Work(refuse=refuse)

    futures = _run_while_first_is_held(work, _grouped(work), 1, [2, 3, 4])

    with pytest.raises(ValueError, match="three"):
        futures.pop(2).result()
    assert [future.result() for future in futures] == [2, 4, 8]
    assert work.groups[:2] == [[1], [2, 3, 4]]
    assert sorted(work.groups[2:]) == [[2], [3], [4]]


def test_an_error_of_a_call_by_itself_leaves_the_lead_to_those_that_wait() -> None:
    def refuse(items: Sequence[int]) -> None:
        if 1 in items:
            raise ValueError("one")

    work = Work(refuse=refuse)

    futures = _run_while_first_is_held(work, _grouped(work), 1, [2, 3])

    with pytest.raises(ValueError, match="one"):
        futures.pop(0).result()
    assert [future.result() for future in futures] == [4, 6]
    assert sorted(work.groups) == [[1], [1], [2, 3]]


def test_a_leader_whose_thread_is_told_to_exit_keeps_nobody_waiting() -> None:
    def refuse(items: Sequence[int]) -> None:
        if len(items) > 1:
            raise SystemExit

    work = Work(refuse=refuse)

    futures = _run_while_first_is_held(work, _grouped(work), 1, [2, 3, 4])

    assert isinstance(futures.pop(1).exception(), SystemExit)
    assert [future.result() for future in futures] == [2, 6, 8]


@dataclass
class HeldGroups:
    """Doubles numbers, alone negates them; a group with a number of `held` waits until `go`."""

    held: set[int]
    groups: list[list[int]] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)

    def together(self, items: Sequence[int]) -> list[int]:
        self.groups.append(list(items))
        if self.held & set(items):
            assert self.go.wait(_PATIENCE_S)
        return [2 * item for item in items]

    def grouped(self) -> GroupCommit[int, int]:
        return GroupCommit(self.together, lambda item: -item, key=lambda item: item, most=32)


def test_behind_a_group_that_is_held_the_others_go_together() -> None:
    work = HeldGroups({1})
    group = work.grouped()

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(group.run, 1)
        _wait_until(lambda: work.groups == [[1]])
        others = [pool.submit(group.run, item) for item in (2, 3)]
        assert [other.result(timeout=_PATIENCE_S) for other in others] == [4, 6]
        began_at = time.monotonic()
        assert group.run(4) == 8  # one more waits for nobody
        assert time.monotonic() - began_at < PATIENCE_S
        work.go.set()

    assert first.result() == 2
    assert group.run(5) == 10


def test_whom_a_group_holds_that_is_held_goes_alone() -> None:
    work = HeldGroups({1, 2})
    group = work.grouped()

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(group.run, 1)
        _wait_until(lambda: work.groups == [[1]])
        others = [pool.submit(group.run, item) for item in (2, 3)]
        _wait_until(lambda: len(work.groups) == 2)  # the second lost patience with the first, and is held in turn
        assert sorted(work.groups[1]) == [2, 3]
        leader, member = others if work.groups[1] == [2, 3] else others[::-1]
        assert member.result(timeout=_PATIENCE_S) == -work.groups[1][1]
        assert not first.done()
        assert not leader.done()
        work.go.set()

    assert (first.result(), leader.result()) == (2, 2 * work.groups[1][0])
    assert group.run(4) == 8
    assert group.waiting == 0


def test_groups_held_at_any_moment_lose_no_call_and_mix_up_no_answers() -> None:
    calls = iter(range(1_000_000))

    def together(items: Sequence[int]) -> list[int]:
        held_s = (0.0, 0.0, 0.49, 0.5, 0.51, 0.98, 1.0, 1.02)[next(calls) % 8]
        time.sleep(held_s)  # about as long as somebody has patience: each race of the two is met
        return [2 * item for item in items]

    group = GroupCommit(together, lambda item: 2 * item, key=lambda item: item % 50, most=8)

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(group.run, range(100)))

    assert answers == [2 * item for item in range(100)]
    assert group.waiting == 0
    assert group.run(1) == 2


def test_in_a_storm_everybody_gets_the_answer_to_its_own_call() -> None:
    busy = threading.Lock()
    made: list[int] = []

    def work(items: Sequence[int]) -> list[int]:
        assert busy.acquire(blocking=False), "two groups at once"
        try:
            time.sleep(0)  # lets the other threads run, as waiting for a database does
            made.extend(items)
            return [2 * item for item in items]
        finally:
            busy.release()

    group = GroupCommit(work, lambda item: work([item])[0], key=lambda item: item, most=8)

    def calls(first: int) -> list[int]:
        return [group.run(item) for item in range(first, first + 200)]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(calls, range(0, 3_200, 200)))

    assert [answer for thread in answers for answer in thread] == [2 * item for item in range(3_200)]
    assert sorted(made) == list(range(3_200))
    assert group.waiting == 0
