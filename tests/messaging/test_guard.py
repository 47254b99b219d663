"""The mass-drop guard (reliability.md 1.5): doubtful refusals cost a registration only while they are rare."""

from __future__ import annotations

import pytest

from messaging.guard import SILENT, DropGuard


def counted(answers: int, suspects: int) -> DropGuard:
    guard = DropGuard()
    for n in range(answers):
        guard.count(suspect=n < suspects)
    return guard


@pytest.mark.parametrize(
    ("answers", "suspects", "may_drop", "has_tripped"),
    [
        (0, 0, False, False),
        (19, 1, False, False),
        (20, 4, True, False),
        (20, 5, False, False),
        (199, 199, False, False),
        (200, 40, True, False),
        (200, 41, False, True),
        (1_000, 201, False, True),
    ],
)
def test_the_share_of_doubtful_refusals_decides(answers: int, suspects: int, may_drop: bool, has_tripped: bool) -> None:
    guard = counted(answers, suspects)

    assert (guard.may_drop, guard.has_tripped) == (may_drop, has_tripped)


def test_a_lane_that_goes_wrong_after_a_million_good_answers_is_stopped_as_soon() -> None:
    guard = counted(1_000_000, 0)

    dropped = 0
    while not guard.has_tripped:
        guard.count(suspect=True)
        dropped += guard.may_drop

    assert dropped <= 400


def test_a_cluster_of_stale_tokens_in_a_lane_that_works_stops_nobody() -> None:
    guard = counted(1_000, 0)

    for _ in range(200):
        guard.count(suspect=True)

    assert guard.may_drop
    assert not guard.has_tripped


def test_a_push_service_is_silent_after_requests_in_a_row_without_an_answer() -> None:
    guard = DropGuard()
    for _ in range(SILENT - 1):
        guard.count(suspect=False, unanswered=True)
    assert not guard.is_silent

    guard.count(suspect=False, unanswered=True)
    assert guard.is_silent
    guard.count(suspect=False)
    assert not guard.is_silent


def test_a_lane_that_works_is_not_held_back() -> None:
    assert counted(150, 30).room(on_wire=200) >= 200


def test_a_lane_under_suspicion_gets_what_it_takes_to_judge() -> None:
    assert counted(150, 31).room(on_wire=20) == 30
