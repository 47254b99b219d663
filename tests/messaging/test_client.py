"""The Python client against a real server on a socket, and against servers that fail."""

from __future__ import annotations

import asyncio
import inspect
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
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
def client_with(live_server: LiveServer, account: ApiAccount) -> Iterator[Callable[..., Messaging]]:
    """Makes clients with these keys. They are closed: a connection kept to the server keeps one to the database."""
    application_id = str(account.application.application_id)
    with ExitStack() as clients:
        yield lambda key, **token: clients.enter_context(Messaging(live_server.url, application_id, key, **token))


@pytest.fixture
def messaging(client_with: Callable[..., Messaging], account: ApiAccount) -> Messaging:
    """The client with the key that may do everything."""
    return client_with(account.key)


def published() -> Message:
    return Message.objects.get()


def test_it_is_a_folder_that_needs_nothing_else(tmp_path: Path) -> None:
    shutil.copytree(Path(client.__file__).parent, tmp_path / "messaging" / "client")
    path = f"import sys; sys.path = [{str(tmp_path)!r}, *sys.path]; "
    code = f"{path}from messaging import client; print(client.Messaging.__name__, client.__file__)"

    run = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)

    assert (run.stdout, run.stderr) == (f"Messaging {tmp_path}/messaging/client/__init__.py\n", "")


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


def test_a_policy_may_be_named_in_words(messaging: Messaging) -> None:
    messaging.publish("Hi", delivery_options=DeliveryOptions(publish_policy="PUBSUB", push_broadcast="IOS"))

    assert published().publish_policy == "PUBSUB"


def test_one_text_in_the_place_of_several_is_refused_before_sending(messaging: Messaging) -> None:
    """A text is a sequence of texts too: its letters would be the devices meant, or channels."""
    with pytest.raises(TypeError, match="push_singlecast"):
        messaging.publish("Hi", delivery_options=DeliveryOptions(push_singlecast="my-phone"))
    with pytest.raises(TypeError, match="channels"):
        messaging.register_device("token", "my-phone", "ANDROID", channels="news")

    assert not Message.objects.exists()


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


def test_errors_are_types_with_the_servers_code(
    messaging: Messaging, client_with: Callable[..., Messaging], account: ApiAccount
) -> None:
    past = datetime(2001, 1, 1, tzinfo=UTC)

    with pytest.raises(client.InvalidPublishAt):
        messaging.publish("x", delivery_options=DeliveryOptions(publish_at=past))
    with pytest.raises(client.InvalidRepeatExpiresAt):
        messaging.publish("x", delivery_options=DeliveryOptions(repeat_expires_at=past))
    with pytest.raises(client.InvalidExpiration):
        messaging.register_device("tok", "d", "ANDROID", expiration=past)
    with pytest.raises(client.PropertyTooLong):
        messaging.register_device("tok", "d" * 256, "ANDROID")
    with pytest.raises(client.PublishForbidden):
        client_with(account.client_key).publish("x")
    with pytest.raises(client.WrongApplicationInfo) as refused:
        client_with("WRONG").publish("x")
    with pytest.raises(client.UnknownPushTemplate):
        messaging.push_with_template("nowhere")
    with pytest.raises(client.DeadUserToken):
        client_with(account.key, user_token="gone").publish("x")
    with pytest.raises(ClarionError) as other:
        messaging.publish("x", "push")

    assert (refused.value.code, refused.value.http_status) == (2002, 401)
    assert (type(other.value), other.value.code) == (ClarionError, 5904)
    assert not DeviceRegistration.objects.exists()


def test_a_moment_without_time_zone_is_refused_before_sending(messaging: Messaging) -> None:
    with pytest.raises(ValueError, match="time zone"):
        messaging.publish("x", delivery_options=DeliveryOptions(publish_at=datetime(2030, 1, 1)))  # noqa: DTZ001

    assert not Message.objects.exists()


def test_the_asynchronous_client_has_the_same_calls() -> None:
    def calls(kind: type[Messaging] | type[AsyncMessaging]) -> dict[str, tuple[inspect.Signature, str | None]]:
        public = {name: call for name, call in vars(kind).items() if not name.startswith("_") and name != "close"}
        return {name: (inspect.signature(call), call.__doc__) for name, call in public.items()}

    assert calls(AsyncMessaging) == calls(Messaging)
    assert all(inspect.iscoroutinefunction(getattr(AsyncMessaging, name)) for name in calls(Messaging))


def test_every_call_can_be_awaited(live_server: LiveServer, account: ApiAccount) -> None:
    PushTemplate.objects.create(application=account.application, name="welcome", message="Hello {name}")

    async def use() -> None:
        async with AsyncMessaging(live_server.url, str(account.application.application_id), account.key) as messaging:
            at = DeliveryOptions(publish_at=datetime.now(UTC) + SOON)
            planned = await messaging.publish("Later ü", "tea", delivery_options=at)
            assert (await messaging.get_message_status(planned.message_id)).status is PublishStatus.SCHEDULED
            assert (await messaging.cancel(planned.message_id)).status is PublishStatus.CANCELLED
            await messaging.delete_channel("tea")
            await messaging.register_device("tok", "a/b ü", "ANDROID", channels=["news"])
            assert (await messaging.get_registrations("a/b ü"))[0].channels == ("news",)
            assert await messaging.unregister("a/b ü")
            assert (await messaging.push_with_template("welcome", {"name": "Kim"})).status is PublishStatus.SCHEDULED
            assert list(await messaging.get_push_templates("android")) == ["welcome"]
            with pytest.raises(client.UnknownChannel):
                await messaging.delete_channel("nowhere")

    asyncio.run(use())


def test_without_a_block_each_awaited_call_has_a_connection_of_its_own(account: ApiAccount) -> None:
    with faulty(200, 200) as server:
        messaging = AsyncMessaging(server.url, "APP", "KEY")
        asyncio.run(publish_twice(messaging))

    assert server.connections == 2


def test_inside_a_block_a_connection_is_used_again() -> None:
    async def use(url: str) -> None:
        async with AsyncMessaging(url, "APP", "KEY") as messaging:
            await publish_twice(messaging)

    with faulty(200, 200, 200, 200) as server:
        asyncio.run(use(server.url))
        with Messaging(server.url, "APP", "KEY") as messaging:
            messaging.publish("x")
            messaging.publish("x")

    assert server.connections == 2


async def publish_twice(messaging: AsyncMessaging) -> None:
    for _ in range(2):
        await messaging.publish("x")


def test_an_idle_connection_that_the_server_closed_is_not_used() -> None:
    with faulty(200, 200, closes=True) as server, Messaging(server.url, "APP", "KEY") as messaging:
        messaging.publish("x")
        messaging.publish("x")

    assert (server.connections, len(server.seen)) == (2, 2)


def test_many_awaited_calls_share_so_many_connections() -> None:
    async def use(url: str) -> list[MessageStatus]:
        async with AsyncMessaging(url, "APP", "KEY", max_connections=5) as messaging:
            return await asyncio.gather(*(messaging.publish("x") for _ in range(50)))

    with faulty(*[200] * 50) as server:
        statuses = asyncio.run(use(server.url))

    assert len(statuses) == 50
    assert server.connections <= 5


def test_no_more_idle_connections_are_kept_than_are_used() -> None:
    async def use(url: str) -> None:
        async with asyncio.timeout(10), AsyncMessaging(url, "APP", "KEY", max_connections=2) as messaging:
            for _ in range(6):
                await messaging.cancel("message:1")  # never over a connection that was idle
            while server.ended < 4:
                await asyncio.sleep(0.01)

    with faulty(*[200] * 6) as server:
        asyncio.run(use(server.url))

    assert server.connections == 6


def test_an_awaited_call_that_is_cancelled_sends_nothing_more() -> None:
    async def use(url: str) -> None:
        messaging = AsyncMessaging(url, "APP", "KEY")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await messaging.publish("x")

    with faulty(429, 200, retry_after="1") as server:
        asyncio.run(use(server.url))

    assert len(server.seen) == 1


def test_awaited_calls_fail_and_are_tried_again_alike() -> None:
    with faulty(0, 503, 409, 200) as server:
        status = asyncio.run(AsyncMessaging(server.url, "APP", "KEY").publish("x"))
    with faulty(0) as lost, pytest.raises(client.ConnectionFailed):
        asyncio.run(AsyncMessaging(lost.url, "APP", "KEY").cancel("message:1"))

    assert status.status is PublishStatus.SCHEDULED
    assert len({key for _, key in server.seen}) == 1
    assert (len(server.seen), len(lost.seen)) == (4, 1)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'8;x=y\r\n{"a":{"b\r\n6\r\n":"c"}\r\n1\r\n}\r\n0\r\nT: 1\r\n\r\n',
        b'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{"a":{"b":"c"}}',
        b'HTTP/1.0 200 OK\r\n\r\n{"a":{"b":"c"}}',
    ],
    ids=["chunks", "hints before", "until the end"],
)
def test_an_awaited_answer_may_come_in_any_form_of_http(answer: bytes) -> None:
    assert asyncio.run(templates_from(answer)) == {"a": {"b": "c"}}


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
    ],
)
def test_what_is_no_http_is_a_failed_connection(answer: bytes) -> None:
    with pytest.raises(client.ConnectionFailed):
        asyncio.run(cancel_from(answer))


async def templates_from(answer: bytes) -> dict[str, dict[str, object]]:
    async with answering(answer) as messaging:
        return await messaging.get_push_templates("IOS")


async def cancel_from(answer: bytes) -> None:
    async with answering(answer) as messaging:
        await messaging.cancel("message:1")


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[AsyncMessaging]:
    """A client of a server that always says this, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield AsyncMessaging(f"http://127.0.0.1:{port}", "APP", "KEY")


def test_a_channel_is_deleted_once(messaging: Messaging) -> None:
    messaging.publish("x", "tea")

    messaging.delete_channel("tea")

    with pytest.raises(client.UnknownChannel) as refused:
        messaging.delete_channel("tea")
    assert refused.value.code == 5914


def test_a_client_shows_no_key_and_no_token() -> None:
    for kind in (Messaging, AsyncMessaging):
        shown = repr(kind("https://push.example.org", "APP", "the-secret-key", user_token="the-secret-token"))

        assert shown == f"{kind.__name__}('https://push.example.org', 'APP')"


@pytest.mark.parametrize(
    "url", ["push.example.org", "ftp://push.example.org", "https://", "https://me:pw@push.example.org"]
)
def test_what_is_no_address_of_a_server_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="url must be"):
        Messaging(url, "APP", "KEY")


@pytest.mark.parametrize("smuggled", ["a\r\nX-Evil: 1", "ü"])
def test_headers_take_printable_characters_alone(smuggled: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        Messaging("http://127.0.0.1:1", "APP", "KEY", user_token=smuggled)
    with pytest.raises(ValueError, match="printable ASCII"):
        Messaging("http://127.0.0.1:1", "APP", "KEY").publish("x", idempotency_key=smuggled)


def test_who_is_asked_to_wait_for_long_is_told_so_instead() -> None:
    with faulty(429, retry_after="30") as server, pytest.raises(ClarionError) as refused:
        Messaging(server.url, "APP", "KEY").publish("x")

    assert (refused.value.http_status, refused.value.retry_after, len(server.seen)) == (429, 30.0, 1)


@dataclass(slots=True)
class Faulty:
    """What a server that fails got: method, Idempotency-Key."""

    url: str
    seen: list[tuple[str, str | None]] = field(default_factory=list)
    connections: int = 0
    ended: int = 0


@contextmanager
def faulty(*answers: int, retry_after: str = "", closes: bool = False) -> Iterator[Faulty]:
    """A server that answers with these statuses in turn, 0 being a connection cut without a word.

    Where it `closes`, it ends each connection after its answer without saying so beforehand.
    """
    waiting = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            known.connections += 1

        def finish(self) -> None:
            super().finish()
            known.ended += 1

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
            self.close_connection = self.close_connection or closes or not status

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
