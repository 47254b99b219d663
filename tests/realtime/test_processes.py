"""Several socket processes on one database, restarts, and subscribers that do not read."""

from __future__ import annotations

import os
import socket
import time
import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from console import postgres
from messaging.realtime import bus
from messaging.realtime.peer_events import Arrival, Roster
from tests.free_ports import free_ports
from tests.postgres_plugin import DATA_DIR
from tests.realtime.conftest import Live
from tests.realtime.stack import Stack, wait_until


@pytest.fixture
def other_url(stack: Stack) -> Iterator[str]:
    """A second socket process on the same database."""
    (port,) = free_ports(1)
    stack.start_sockets("more sockets", port)
    yield f"http://127.0.0.1:{port}"
    stack.stop("more sockets")


def test_a_message_reaches_the_subscribers_of_every_process(live: Live, other_url: str) -> None:
    clients = [live.client(), live.client(url=other_url)]
    for client in clients:
        client.subscribe("MESSAGES")

    live.publish("everywhere")

    assert [client.next_content()["message"] for client in clients] == ["everywhere"] * 2


@pytest.mark.parametrize("size", [1, 7_800, 20_000])
def test_a_command_of_any_size_reaches_the_subscribers_of_every_process(live: Live, other_url: str, size: int) -> None:
    clients = [live.client(), live.client(url=other_url)]
    for client in clients:
        client.subscribe("COMMANDS")
    content = "€" * size

    call_id = clients[0].call("MET_REQ", "PUB_SUB_COMMAND", channel="default", type="T", data=content)
    heard = [clients[0].next_event(), clients[0].next_event()]

    assert ("MET_RES", {"id": call_id, "result": None}) in heard
    command = clients[1].next_content()
    assert (command["type"], command["data"], command["userId"]) == ("T", content, None)
    assert command["userInfo"] == {"connectionId": command["connectionId"], "userId": None}


def test_a_command_over_64_kib_is_refused(live: Live) -> None:
    client = live.client()
    call_id = client.call("MET_REQ", "PUB_SUB_COMMAND", channel="default", type="T", data="x" * 70_000)

    event, argument = client.next_event()

    assert (event, argument["id"], argument["error"]["code"]) == ("MET_RES", call_id, "5901")


def test_user_status_spans_processes(live: Live, other_url: str) -> None:
    watcher, visitor = live.client(), live.client(url=other_url)
    watcher.subscribe("USERS")
    assert watcher.next_content() == {"status": "LISTING", "data": []}

    visitor.subscribe("CONNECT")
    arrived = watcher.next_content()
    visitor.close()
    left = watcher.next_content()

    assert (arrived["status"], left["status"]) == ("CONNECTED", "DISCONNECTED")
    assert arrived["data"] == left["data"]
    assert arrived["data"][0].keys() == {"connectionId", "userId"}


def listed(live: Live, url: str = "") -> list[dict[str, Any]]:
    """Who is there, as a client of its own hears: between two listings one client would hear of changes as well."""
    client = live.client(url=url) if url else live.client()
    client.subscribe("USERS")
    people: list[dict[str, Any]] = client.next_content()["data"]
    client.close()
    return people


def test_a_process_that_starts_later_knows_who_is_there(live: Live, stack: Stack) -> None:
    early = live.client()
    early.subscribe("CONNECT")
    (port,) = free_ports(1)
    stack.start_sockets("late sockets", port)
    url = f"http://127.0.0.1:{port}"

    wait_until(lambda: len(listed(live, url)) == 1, "the first process's people", 10)
    stack.stop("late sockets")


def test_people_of_a_process_that_ends_are_reported_gone(live: Live, stack: Stack) -> None:
    (port,) = free_ports(1)
    stack.start_sockets("short-lived", port)
    watcher, visitor = live.client(), live.client(url=f"http://127.0.0.1:{port}")
    watcher.subscribe("USERS")
    watcher.next_content()
    visitor.subscribe("CONNECT")
    assert watcher.next_content()["status"] == "CONNECTED"

    stack.stop("short-lived")

    assert watcher.next_content()["status"] == "DISCONNECTED"


def test_subscribers_outlive_the_loss_of_every_database_connection(live: Live) -> None:
    client = live.client()
    client.subscribe("MESSAGES")
    end_every_connection()

    live.publish("first after the loss")

    assert client.next_content()["message"] == "first after the loss"
    assert client.is_silent(1.0)


def test_a_list_of_users_longer_than_what_may_wait_reaches_who_asks(live: Live) -> None:
    place = live.account.application.pk, "default"
    crowd = [Arrival(*place, f"connection-{number:08}", f"{number:036}") for number in range(120_000)]
    bus.tell_peers(Roster("crowd", crowd))
    try:
        wait_until(lambda: len(listed(live)) == len(crowd), "the crowd", 10)
    finally:
        bus.tell_peers(Roster("crowd", [], ends=True))


def test_a_subscriber_that_does_not_read_is_cut_off_and_slows_nobody(live: Live) -> None:
    slow, quick = live.client(), live.client()
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for client in (slow, quick):
        client.subscribe("MESSAGES")
    body = "x" * 200_000

    for number in range(60):
        live.publish([number, body])
        started = time.monotonic()
        assert quick.next_content()["message"][0] == number
        assert time.monotonic() - started < 1

    slow.wait_until_closed()
    assert not slow.is_open


def test_everybody_is_back_after_a_restart_and_nothing_is_doubled(live: Live, stack: Stack) -> None:
    before = [live.client() for _ in range(50)]
    for client in before:
        client.subscribe("MESSAGES")

    stack.stop("sockets")
    for client in before:
        client.wait_until_closed()
    stack.start_sockets()
    after = [live.client() for _ in range(50)]
    for client in after:
        client.subscribe("MESSAGES")
    live.publish("after")

    assert [client.next_content()["message"] for client in after] == ["after"] * 50
    assert after[0].is_silent()


def end_every_connection() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_subscribers_outlive_a_restart_of_the_database(live: Live) -> None:
    if os.environ.get("DATABASE_URL"):
        pytest.skip("the database is not ours to restart")
    client = live.client()
    client.subscribe("MESSAGES")
    connection.close()

    postgres.stop(DATA_DIR)
    postgres.ensure_running(DATA_DIR, durable=False)
    wait_until(lambda: is_published(live, "after the restart"), "the web server")

    assert client.next_content(20)["message"] == "after the restart"
    assert client.is_silent(1.0)


def is_published(live: Live, message: str) -> bool:
    try:
        live.publish(message)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    return True
