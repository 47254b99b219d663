"""Giving content to many: whatever it costs, others have their turn."""

from __future__ import annotations

import asyncio
import time

from messaging.realtime.hub import Hub, Kind, Place, Subscription

PLACE = Place(1, "default")
HEADERS = {"a": "x" * 20_000}


class Inbox:
    """A receiver that keeps what it is sent."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    def send(self, *parts: bytes) -> None:
        """One packet."""
        self.received.append(b"".join(parts))


def subscribed(hub: Hub, selector: str) -> Inbox:
    inbox = Inbox()
    hub.add(Subscription("1", Kind.MESSAGES, PLACE, selector, inbox, b"["))
    return inbox


async def longest_wait_during_delivery(hub: Hub) -> tuple[float, float]:
    """Seconds that other work waited at most, and that delivering took."""
    started = before = time.perf_counter()
    longest = 0.0
    delivering = asyncio.create_task(hub.deliver(Kind.MESSAGES, PLACE, b"1", HEADERS))
    while not delivering.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, before = max(longest, now - before), now
    return longest, before - started


def test_selectors_that_match_nothing_do_not_hold_up_others() -> None:
    hub = Hub()
    for number in range(200):
        condition = " or ".join([f"a like '%{number}_%'"] * 50)
        subscribed(hub, condition)

    longest, whole = asyncio.run(longest_wait_during_delivery(hub))

    assert whole > 0.05  # long enough to tell
    assert longest < whole / 3


def test_many_deliveries_do_not_hold_up_others() -> None:
    hub = Hub()
    inboxes = [subscribed(hub, "") for _ in range(100_000)]

    longest, whole = asyncio.run(longest_wait_during_delivery(hub))

    assert all(inbox.received == [b"[1}]"] for inbox in inboxes)
    assert longest < whole / 2


def test_who_leaves_during_a_delivery_gets_nothing_more() -> None:
    hub, inbox = Hub(), Inbox()
    last = Subscription("2", Kind.MESSAGES, PLACE, "", inbox, b"[")

    class Leaving(Inbox):
        def send(self, *parts: bytes) -> None:
            hub.remove(last)

    hub.add(Subscription("1", Kind.MESSAGES, PLACE, "", Leaving(), b"["))
    hub.add(last)

    asyncio.run(hub.deliver(Kind.MESSAGES, PLACE, b"1"))

    assert inbox.received == []


def test_more_selectors_than_are_remembered_are_all_still_judged() -> None:
    hub = Hub()
    inboxes = [subscribed(hub, f"a = '{number}'") for number in range(300)]

    asyncio.run(hub.deliver(Kind.MESSAGES, PLACE, b"1", {"a": "7"}))

    assert [number for number, inbox in enumerate(inboxes) if inbox.received] == [7]
