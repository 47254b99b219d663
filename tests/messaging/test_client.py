"""The Python client against a real server on a socket, and against servers that fail."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.conf import settings
from pytest_django.live_server_helper import LiveServer

from devices.models import DeviceRegistration
from messaging import client
from messaging.client import (
    AsyncMessaging,
    ClarionError,
    DeliveryOptions,
    MessageStatus,
    Messaging,
    PublishOptions,
    PublishPolicy,
    PublishStatus,
    PushBroadcast,
)
from messaging.models import Message
from messaging.template_models import PushTemplate
from tests.factories import ApiAccount, make_account, make_registration

SOON = timedelta(hours=1)
ANSWER = {"messageId": "message:1", "status": "scheduled", "errorMessage": None}


@pytest.fixture(scope="session")
def static_root() -> None:
    """WhiteNoise warns when the folder that `collectstatic` fills is missing."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="session")
def live_server(static_root: None, live_server: LiveServer) -> LiveServer:
    """Django on a socket, for all tests of the session."""
    return live_server


@pytest.fixture
def account(live_server: LiveServer, transactional_db: None) -> ApiAccount:
    """A fresh application."""
    return make_account()


@pytest.fixture
def messaging(live_server: LiveServer, account: ApiAccount) -> Messaging:
    """The client with the key that may do everything."""
    return Messaging(live_server.url, str(account.application.application_id), account.key)


def published() -> Message:
    return Message.objects.get()


def test_it_is_one_file_that_needs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "client.py").write_text(Path(client.__file__).read_text())
    code = f"import sys; sys.path = [{str(tmp_path)!r}, *sys.path]; import client; print(client.Messaging.__name__)"

    run = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)

    assert (run.stdout, run.stderr) == ("Messaging\n", "")


def test_publish_needs_only_a_message(messaging: Messaging) -> None:
    status = messaging.publish({"kind": "tea"})

    message = published()
    assert status == MessageStatus(message.wire_id, PublishStatus.SCHEDULED)
    assert (message.channel_name, message.body) == ("default", {"kind": "tea"})


def test_options_reach_the_message(messaging: Messaging) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + SOON
    options = PublishOptions(publisher_id="shop", headers={"ios-badge": 1}, subtopic="tea")
    delivery = DeliveryOptions(
        publish_policy=PublishPolicy.PUSH,
        push_broadcast=PushBroadcast.IOS | PushBroadcast.ANDROID,
        segment_query="osVersion > '4'",
        publish_at=at,
        repeat_every=3600,
        repeat_expires_at=at + timedelta(days=1),
    )

    messaging.publish("Tea is ready", "news", options, delivery)

    message = published()
    assert (message.channel_name, message.publisher_id, message.subtopic) == ("news", "shop", "tea")
    assert (message.headers, message.publish_policy) == ({"ios-badge": "1"}, "PUSH")
    assert (message.publish_at, message.repeat_every) == (at, timedelta(hours=1))


def test_named_devices_by_keyword(messaging: Messaging, account: ApiAccount) -> None:
    make_registration(account.application, device_id="my-phone")

    status = messaging.publish("Tea is ready", delivery_options=DeliveryOptions(push_singlecast=["my-phone"]))

    assert status.status is PublishStatus.SCHEDULED


def test_a_planned_message_is_cancelled_once(messaging: Messaging) -> None:
    planned = messaging.publish("Later", delivery_options=DeliveryOptions(publish_at=datetime.now(UTC) + SOON))

    assert messaging.get_message_status(planned.message_id).status is PublishStatus.SCHEDULED
    assert messaging.cancel(planned.message_id).status is PublishStatus.CANCELLED
    with pytest.raises(client.CannotCancel) as refused:
        messaging.cancel(planned.message_id)
    assert (refused.value.code, refused.value.http_status) == (5040, 400)


def test_an_id_nobody_gave_out_is_unknown(messaging: Messaging) -> None:
    assert messaging.get_message_status("message:nobody").status is PublishStatus.UNKNOWN


def test_a_device_from_registering_to_unregistering(messaging: Messaging) -> None:
    expiration = datetime.now(UTC).replace(microsecond=0) + SOON

    registration_id = messaging.register_device(
        "tok", "a/b ü", "ANDROID", os_version="14", channels=["news", "tea"], expiration=expiration
    )
    (device,) = messaging.get_registrations("a/b ü")

    assert registration_id.split(",")[0] == f"{device.id}::news"
    assert (device.device_token, device.os, device.os_version) == ("tok", "ANDROID", "14")
    assert (device.channels, device.expiration) == (("news", "tea"), expiration)
    assert messaging.unregister("a/b ü") is True
    with pytest.raises(client.UnknownDevice):
        messaging.unregister("a/b ü")
    with pytest.raises(client.UnknownDevice):
        messaging.get_registrations("a/b ü")


def test_a_template_is_pushed_with_its_values(messaging: Messaging, account: ApiAccount) -> None:
    PushTemplate.objects.create(application=account.application, name="welcome", message="Hello {name}")

    status = messaging.push_with_template("welcome", {"name": "Kim"})

    assert status.status is PublishStatus.SCHEDULED
    assert list(messaging.get_push_templates("android")) == ["welcome"]


def test_errors_are_types_with_the_servers_code(live_server: LiveServer, account: ApiAccount) -> None:
    application_id = str(account.application.application_id)
    messaging = Messaging(live_server.url, application_id, account.key)
    of_an_app = Messaging(live_server.url, application_id, account.client_key)
    stranger = Messaging(live_server.url, application_id, "WRONG")
    past, soon = datetime(2001, 1, 1, tzinfo=UTC), datetime.now(UTC) + SOON

    with pytest.raises(client.InvalidPublishAt):
        messaging.publish("x", delivery_options=DeliveryOptions(publish_at=past))
    with pytest.raises(client.InvalidRepeatExpiresAt):
        messaging.publish("x", delivery_options=DeliveryOptions(repeat_expires_at=soon))
    with pytest.raises(client.InvalidExpiration):
        messaging.register_device("tok", "d", "ANDROID", expiration=past)
    with pytest.raises(client.PropertyTooLong):
        messaging.register_device("tok", "d" * 256, "ANDROID")
    with pytest.raises(client.PublishForbidden):
        of_an_app.publish("x")
    with pytest.raises(client.WrongApplicationInfo) as refused:
        stranger.publish("x")
    with pytest.raises(client.UnknownPushTemplate):
        messaging.push_with_template("nowhere")
    with pytest.raises(client.DeadUserToken):
        Messaging(live_server.url, application_id, account.key, user_token="gone").publish("x")
    with pytest.raises(ClarionError) as other:
        messaging.publish("x", "push")

    assert (refused.value.code, refused.value.http_status) == (2002, 401)
    assert (type(other.value), other.value.code) == (ClarionError, 5904)
    assert not DeviceRegistration.objects.exists()


def test_a_moment_without_time_zone_is_refused_before_sending(messaging: Messaging) -> None:
    with pytest.raises(ValueError, match="time zone"):
        messaging.publish("x", delivery_options=DeliveryOptions(publish_at=datetime(2030, 1, 1)))  # noqa: DTZ001

    assert not Message.objects.exists()


def test_the_asynchronous_client_has_the_same_calls(live_server: LiveServer, account: ApiAccount) -> None:
    messaging = AsyncMessaging(live_server.url, str(account.application.application_id), account.key)

    async def both() -> list[MessageStatus]:
        first, second = await asyncio.gather(messaging.publish("one"), messaging.publish("two", "news"))
        return [await messaging.get_message_status(status.message_id) for status in (first, second)]

    statuses = asyncio.run(both())

    assert {status.message_id for status in statuses} == {message.wire_id for message in Message.objects.all()}
    public = {name for name in vars(Messaging) if not name.startswith("_")}
    assert {name for name in vars(messaging) if not name.startswith("_")} == public


@dataclass(slots=True)
class Faulty:
    """What a server that fails got: method, Idempotency-Key."""

    url: str
    seen: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def faulty(*answers: int, retry_after: str = "") -> Iterator[Faulty]:
    """A server that answers with these statuses in turn, 0 being a connection cut without a word."""
    waiting = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            known.seen.append((self.command, self.headers["Idempotency-Key"]))
            if status := waiting.pop(0):
                body = json.dumps(ANSWER).encode() if status == 200 else b"<h1>Bad Gateway</h1>"
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Retry-After", retry_after)
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, format: str, *args: object) -> None:
            """Not into the tests' output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        known = Faulty(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield known
        finally:
            server.shutdown()
            thread.join()


def test_publish_is_tried_again_with_the_same_idempotency_key() -> None:
    with faulty(0, 503, 409, 200) as server:
        status = Messaging(server.url, "APP", "KEY").publish("x")

    methods, keys = zip(*server.seen, strict=True)
    assert status.status is PublishStatus.SCHEDULED
    assert methods == ("POST",) * 4
    assert len(set(keys)) == 1
    assert keys[0]


def test_a_key_of_ones_own_makes_trying_again_safe(messaging: Messaging) -> None:
    first, again = (messaging.publish("x", idempotency_key="order-17") for _ in range(2))

    assert first.message_id == again.message_id == published().wire_id


def test_the_next_try_waits_as_long_as_the_server_asks() -> None:
    with faulty(429, 200, retry_after="1") as server:
        began = time.monotonic()
        Messaging(server.url, "APP", "KEY").publish("x")

    assert len(server.seen) == 2
    assert 1.0 <= time.monotonic() - began < 5.0


def test_two_publishes_have_two_keys() -> None:
    with faulty(200, 200) as server:
        messaging = Messaging(server.url, "APP", "KEY")
        messaging.publish("x")
        messaging.publish("x")

    assert len({key for _, key in server.seen}) == 2


def test_reading_is_tried_four_times() -> None:
    with faulty(502, 504, 0, 0) as server, pytest.raises(client.ConnectionFailed) as failed:
        Messaging(server.url, "APP", "KEY").get_message_status("message:1")

    assert (failed.value.code, failed.value.http_status, len(server.seen)) == (0, 0, 4)


@pytest.mark.parametrize("status", [0, 502])
def test_cancel_is_never_tried_twice(status: int) -> None:
    with faulty(status) as server, pytest.raises(ClarionError):
        Messaging(server.url, "APP", "KEY").cancel("message:1")

    assert server.seen == [("DELETE", None)]


def test_a_page_of_a_proxy_is_an_error_with_its_status() -> None:
    with faulty(404) as server, pytest.raises(ClarionError) as failed:
        Messaging(server.url, "APP", "KEY").get_message_status("message:1")

    assert (failed.value.code, failed.value.http_status) == (0, 404)


def test_a_server_that_stays_silent_is_a_failed_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        messaging = Messaging(f"http://127.0.0.1:{silent.getsockname()[1]}", "APP", "KEY", timeout=0.2)

        with pytest.raises(client.ConnectionFailed):
            messaging.cancel("message:1")
