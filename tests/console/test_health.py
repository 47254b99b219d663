"""What load balancers and monitors are told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from django.http import HttpResponse
from django.test import Client

from messaging import heartbeat
from messaging.models import WorkerGroup
from tests.messaging.stage import in_thread


@pytest.fixture
def at_work(db: None) -> None:
    heartbeat.announce("host:1:ticker", kind="ticker")
    heartbeat.announce("host:2:workers", kind="workers", workers=2)


def test_with_a_ticker_and_workers_it_is_ready(client: Client, at_work: None) -> None:
    answer = client.get("/health")

    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["missing"]) == ("ok", [])


@pytest.mark.parametrize("kind", ["ticker", "workers"])
def test_what_has_been_silent_for_20_seconds_is_missing(client: Client, at_work: None, kind: str) -> None:
    WorkerGroup.objects.filter(kind=kind).update(seen_at=Now() - timedelta(seconds=21))

    answer = client.get("/health")

    assert answer.status_code == 503
    assert (answer.json()["status"], answer.json()["missing"]) == ("failing", [kind])


def test_one_living_group_of_each_kind_is_enough(client: Client, at_work: None) -> None:
    heartbeat.announce("host:3:workers", kind="workers", workers=2)
    WorkerGroup.objects.filter(name="host:3:workers").update(seen_at=Now() - timedelta(hours=1))

    assert client.get("/health").status_code == 200


def test_monitors_that_only_ask_for_the_head_get_the_status(client: Client, at_work: None) -> None:
    assert client.head("/health").status_code == 200
    WorkerGroup.objects.all().delete()
    assert client.head("/health").status_code == 503


def test_a_process_is_alive_even_when_nobody_sends(client: Client, db: None) -> None:
    answer = client.get("/health?live")

    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_a_database_that_is_away_is_missing_and_the_process_lives(client: Client, transactional_db: None) -> None:
    def ask(path: str) -> int:
        # a connection of this thread alone, to a server that is not there
        connection.settings_dict = {**connection.settings_dict, "HOST": "127.0.0.1", "PORT": "1"}
        return client.get(path).status_code

    assert in_thread(lambda: ask("/health")) == 503
    assert in_thread(lambda: ask("/health?live")) == 200


def test_a_page_without_its_database_says_so_and_when_to_come_back(client: Client, transactional_db: None) -> None:
    client.raise_request_exception = False
    client.cookies[settings.SESSION_COOKIE_NAME] = "x" * 32

    def ask() -> HttpResponse:
        connection.settings_dict = {**connection.settings_dict, "HOST": "127.0.0.1", "PORT": "1"}
        return client.get("/")

    answer = in_thread(ask)

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "The database cannot be reached" in answer.content.decode()


def test_no_secret_and_no_name_of_a_machine_is_told(client: Client, at_work: None) -> None:
    content = client.get("/health").content.decode()

    assert "host" not in content
    assert connection.settings_dict["NAME"] not in content
