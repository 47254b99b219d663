"""A running Clarion for all of this folder, and one application in it for each test."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pytest_django.plugin import DjangoDbBlocker

from devices.api_keys import Permissions
from devices.host_keys import create_host_key
from tests.factories import ApiAccount, make_account
from tests.free_ports import free_ports
from tests.realtime.live_client import LiveClient
from tests.realtime.stack import Stack, database_url_of_tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What shares the database with other processes has to be committed."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.django_db(transaction=True))


@pytest.fixture(scope="package")
def stack(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Stack]:
    """The processes, kept while tests of this folder run, and no longer: their ticker claims what it finds."""
    with django_db_blocker.unblock():
        web_port, socket_port = free_ports(2)
        running = Stack(database_url_of_tests(), web_port, socket_port)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def account(stack: Stack, transactional_db: None) -> ApiAccount:
    """An application and its keys."""
    return make_account()


@dataclass(frozen=True, slots=True)
class Live:
    """One application as its clients reach it."""

    stack: Stack
    account: ApiAccount
    open_clients: list[LiveClient]

    @property
    def application_id(self) -> str:
        """As it stands in addresses."""
        return str(self.account.application.application_id).upper()

    def client(self, *, key: str = "", url: str = "", **options: Any) -> LiveClient:
        """A joined client, closed when the test ends; `protocol` and `user_token` may be given."""
        address, used_key = url or self.stack.socket_url, key or self.account.key
        client = LiveClient(address, self.application_id, used_key, **options)
        self.open_clients.append(client)
        return client

    def sdk_configuration(self, **more: object) -> dict[str, object]:
        """What an SDK needs to start by id and key."""
        init_app, init_nobody = [self.application_id, self.account.key], [self.application_id, "WRONG-KEY"]
        return {"url": self.stack.url, "initApp": init_app, "initNobody": init_nobody, **more}

    def sdk_configuration_by_host(self, **more: object) -> dict[str, object]:
        """What an SDK needs to start by a host name of the application, the "custom domain" of the vendor."""
        application = self.account.application
        application.subdomain = f"shop-{application.pk}"  # its own: the web server remembers hosts for seconds
        application.save()
        create_host_key(application, Permissions(may_publish=True))
        return {
            "initApp": [f"http://{application.subdomain}.localhost:{self.stack.web_port}"],
            "initNobody": [f"http://nobody.localhost:{self.stack.web_port}"],
            **more,
        }

    def publish(self, message: object, channel: str = "default", **body: object) -> str:
        """POST to the channel; the message's id."""
        request = urllib.request.Request(
            f"{self.stack.url}{self.account.prefix}/messaging/{channel}",
            json.dumps({"message": message, **body}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            message_id: str = json.load(response)["messageId"]
        return message_id


@pytest.fixture
def live(stack: Stack, account: ApiAccount) -> Iterator[Live]:
    """The application of this test, live."""
    made = Live(stack, account, [])
    yield made
    for client in made.open_clients:
        client.close()
