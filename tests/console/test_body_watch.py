"""When a body is given up, by a clock that tests move; the web server itself is tried in test_slow_bodies.py."""

from __future__ import annotations

from wsgiref.util import setup_testing_defaults

import pytest

from console.connections import Silent
from console.slow_bodies import Awaited, BodyGuard, Watch


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> Watch:
    return Watch(clock)


def wait_for(watch: Watch, *addresses: str) -> None:
    """A thread begins to wait for a body of each address."""
    for address in addresses:
        watch.awaited[len(watch.awaited)] = Awaited(address, 8000, watch.clock())


def cut(watch: Watch) -> set[str]:
    """Addresses cut off now."""
    return {silent.address for silent in watch.overdue()}


def test_one_late_body_has_ten_seconds(watch: Watch, clock: Clock) -> None:
    wait_for(watch, "192.0.2.1")
    clock.now += 9.9
    assert cut(watch) == set()

    clock.now += 0.1

    assert watch.overdue() == [Silent("192.0.2.1", 8000, our_s=10.0, their_s=0.75)]
    assert watch.awaited[0].is_cut
    assert watch.may_send("192.0.2.1")


def test_who_drips_on_a_second_after_the_time_is_cut_with_all_of_the_address(watch: Watch, clock: Clock) -> None:
    wait_for(watch, "192.0.2.1")
    clock.now += 11.0

    assert watch.overdue() == [Silent("192.0.2.1", 8000, our_s=11.0)]


def test_five_late_bodies_of_an_address_are_cut_after_a_second_and_the_address_boxed(
    watch: Watch, clock: Clock
) -> None:
    wait_for(watch, *["192.0.2.1"] * 5, *["192.0.2.2"] * 3)
    clock.now += 0.5
    wait_for(watch, "192.0.2.1")
    clock.now += 0.4
    assert cut(watch) == set()

    clock.now += 0.1

    assert cut(watch) == {"192.0.2.1"}
    assert [body.is_cut for body in watch.awaited.values()] == [True] * 5 + [False] * 3 + [True]
    assert not watch.may_send("192.0.2.1")
    assert watch.may_send("192.0.2.2")


def test_a_boxed_address_has_two_bodies_read_and_is_free_after_a_minute(watch: Watch, clock: Clock) -> None:
    wait_for(watch, *["192.0.2.1"] * 5)
    clock.now += 1.0
    cut(watch)
    watch.awaited.clear()

    wait_for(watch, "192.0.2.1")
    assert watch.may_send("192.0.2.1")
    wait_for(watch, "192.0.2.1")
    assert not watch.may_send("192.0.2.1")
    clock.now += 1.0
    assert watch.overdue() == [Silent("192.0.2.1", 8000, our_s=1.0, their_s=0.75)]
    clock.now += 60.1
    assert watch.may_send("192.0.2.1")


def test_late_bodies_of_many_addresses_are_cut_after_a_second_when_half_the_threads_wait(
    watch: Watch, clock: Clock
) -> None:
    addresses = [f"192.0.2.{number}" for number in range(9)]
    wait_for(watch, *addresses)
    clock.now += 1.0

    assert cut(watch) == set(addresses)
    assert all(watch.may_send(address) for address in addresses)


def test_bodies_that_come_at_once_are_never_late(watch: Watch, clock: Clock) -> None:
    wait_for(watch, *["192.0.2.1"] * 16)
    clock.now += 0.5

    assert cut(watch) == set()


def test_pages_of_other_origins_can_read_why_a_body_is_refused(watch: Watch) -> None:
    watch.boxed["192.0.2.1"] = watch.clock() + 60
    wait_for(watch, "192.0.2.1", "192.0.2.1")
    environ = {"REMOTE_ADDR": "192.0.2.1", "CONTENT_LENGTH": "2"}
    setup_testing_defaults(environ)
    answered: list[tuple[str, dict[str, str]]] = []
    guard = BodyGuard(lambda environ, start_response: [], watch)

    body = b"".join(guard(environ, lambda status, headers: answered.append((status, dict(headers)))))

    ((status, headers),) = answered
    assert (status[:3], headers["Access-Control-Allow-Origin"]) == ("429", "*")
    assert b'"code":5906' in body
