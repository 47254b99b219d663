"""What publish answered 200 is kept, whatever is killed; the database and web come back by themselves (P1)."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.console.test_up import clarion
from tests.faults.caller import ALL_ENDED, NO_ANSWER, Caller, rows, stored_messages
from tests.faults.clarion import Process, send_signal
from tests.messaging.processes import children_of, descendants_of, report
from tests.messaging.stage import wait_until

pytestmark = pytest.mark.fault

_ROUNDS = 3
_SEED = 20261122


def named(up: Process, word: str) -> list[int]:
    """Processes of `manage.py up` whose command holds the word, with all they started."""
    roots = [pid for pid in children_of(up.pid) if word in Path(f"/proc/{pid}/cmdline").read_text()]
    return [pid for root in roots for pid in (root, *descendants_of(root))]


def postgres_pids(data_dir: Path) -> list[int]:
    """The postmaster and its children."""
    postmaster = int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    return [postmaster, *descendants_of(postmaster)]


def answers_again(caller: Caller) -> float:
    """Seconds until publishing works."""
    before = caller.answers[200]
    return wait_until(lambda: caller.answers[200] > before, 60, "publishing to work again")


@pytest.mark.parametrize("victim", ["PostgreSQL", "the postmaster alone", "web"])
def test_what_was_answered_200_is_there_after_kill_9(tmp_path: Path, victim: str) -> None:
    moments = random.Random(_SEED)
    away = []
    with clarion(tmp_path) as (up, port):
        caller = Caller(tmp_path, port, pause_s=0.01)
        with caller.calling():
            for _ in range(_ROUNDS):
                answers_again(caller)
                time.sleep(moments.uniform(0.2, 1.5))
                if victim == "web":
                    send_signal(named(up, "granian"), signal.SIGKILL)
                else:
                    pids = postgres_pids(tmp_path)
                    send_signal(pids if victim == "PostgreSQL" else pids[:1], signal.SIGKILL)
                away.append(answers_again(caller))
        wait_until(lambda: bool(rows(tmp_path, ALL_ENDED)), 60, "every firing to end")
        lost = caller.accepted - stored_messages(tmp_path)

    report(
        f"kill -9 of {victim}, {_ROUNDS} times: {caller.answers[200]} answered 200, "
        f"{len(lost)} of them lost, {dict(caller.answers)} in all, back after {max(away):.1f} s at most"
    )
    assert not lost
    assert set(caller.answers) <= {200, 503, NO_ANSWER}
    assert caller.answers[200] >= 10 * _ROUNDS
    assert max(away) <= 60
