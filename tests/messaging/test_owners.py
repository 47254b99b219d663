"""Leases of the dead: taken over at once where their death is certain."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from messaging import batches, fanout, owners
from tests.messaging.stage import Stage

GROUP = "host:1-abcdef:workers"


def held_by(stage: Stage, owner: str) -> None:
    stage.devices(3)
    stage.start("ANDROID")
    fanout.plan_next_page()
    assert batches.claim(owner) is not None


def ended_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_dead_process_of_the_group_held_can_be_taken_over_at_once(stage: Stage) -> None:
    held_by(stage, f"{GROUP}/{ended_pid()}/1")
    assert batches.claim("another") is None

    owners.lapse_leases_of_dead(GROUP)

    taken = batches.claim("another")
    assert taken is not None
    assert taken.attempt == 2


def test_what_a_living_process_holds_stays_its_own(stage: Stage) -> None:
    held_by(stage, f"{GROUP}/{os.getpid()}/1")

    owners.lapse_leases_of_dead(GROUP)

    assert batches.claim("another") is None


@pytest.fixture
def foreign_pid() -> Iterator[int]:
    """A process that this one may not signal, root or not."""
    if os.geteuid() != 0:
        yield 1
        return
    process = subprocess.Popen(["/bin/sleep", "60"], user=65534)
    os.seteuid(65533)
    yield process.pid
    os.seteuid(0)
    process.kill()
    process.wait()


def test_a_process_id_that_another_user_got_since_only_costs_the_wait(stage: Stage, foreign_pid: int) -> None:
    held_by(stage, f"{GROUP}/{foreign_pid}/1")

    owners.lapse_leases_of_dead(GROUP)

    assert batches.claim("another") is None


def test_the_process_ids_of_another_group_mean_nothing_here(stage: Stage) -> None:
    held_by(stage, f"other-{GROUP}/{ended_pid()}/1")

    owners.lapse_leases_of_dead(GROUP)

    assert batches.claim("another") is None


def test_a_killed_group_gives_up_all_that_it_held_and_no_other_does(stage: Stage) -> None:
    held_by(stage, f"{GROUP}/{os.getpid()}/1")
    held_by(stage, f"other-{GROUP}/{os.getpid()}/1")

    owners.lapse_leases_of_group(GROUP)

    assert batches.claim("another") is not None
    assert batches.claim("another") is None


def test_every_drain_of_a_process_has_a_name_of_its_own() -> None:
    assert owners.new_owner(GROUP) != owners.new_owner(GROUP)
