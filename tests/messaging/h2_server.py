"""A small real HTTP/2 server over TLS whose answers, resets and GOAWAYs a test writes as a function."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    PingAckReceived,
    PingReceived,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.settings import SettingCodes
from hyperframe.frame import SettingsFrame


@dataclass
class Request:
    """One request as it arrived."""

    connection: Connection
    stream_id: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """The request's path and query."""
        return self.headers[":path"]

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer."""
        self.connection.answer(self.stream_id, status, body, headers or {})

    def reset(self, code: ErrorCodes) -> None:
        """End the stream with RST_STREAM."""
        self.connection.h2.reset_stream(self.stream_id, code)
        self.connection.flush()


Behaviour = Callable[[Request], None]


def answer_200(request: Request) -> None:
    """The plainest behaviour."""
    request.answer(200)


class Connection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, server: H2Server) -> None:
        self.server = server
        self.h2 = H2Connection(H2Configuration(client_side=False))
        self.open_requests: dict[int, Request] = {}
        self.unsent: dict[int, bytes] = {}
        self.number = 0
        self.is_leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet with our SETTINGS."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.number = self.server.count_connection()
        self.server.opened.append(self)
        self.h2.initiate_connection()
        # In force for h2 only once the client has acknowledged it: until then it may not know.
        self.h2.update_settings(
            {SettingCodes.INITIAL_WINDOW_SIZE: self.server.window, SettingCodes.MAX_CONCURRENT_STREAMS: 1000}
        )
        if self.server.max_streams:
            self.allow_streams(self.server.max_streams)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the test."""
        self.server.when_left()

    def allow_streams(self, count: int) -> None:
        """Announce a limit without insisting on it, as h2 would; `server.most_streams` tells whether it was kept."""
        frame = SettingsFrame(settings={SettingsFrame.MAX_CONCURRENT_STREAMS: count})
        self.transport.write(self.h2.data_to_send() + frame.serialize())

    def data_received(self, octets: bytes) -> None:
        """Collect requests; hand over each when it is complete."""
        if self.is_leaving:
            return
        events = self.h2.receive_data(octets)
        self.server.most_streams = max(self.server.most_streams, self.h2.open_inbound_streams)
        # First of all: h2 already refuses to send on these streams.
        for event in events:
            if isinstance(event, StreamReset):
                self.unsent.pop(event.stream_id, None)
        for event in events:
            self._take(event)
        self.flush()

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            headers = {name.decode(): text.decode() for name, text in event.headers}
            self.open_requests[event.stream_id] = Request(self, event.stream_id, headers)
            if self.server.is_hasty:
                self._judge(event.stream_id)
        elif isinstance(event, DataReceived):
            if request := self.open_requests.get(event.stream_id):
                request.body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self._judge(event.stream_id)
        elif isinstance(event, StreamReset):
            self.server.resets.append(event.error_code)
        elif isinstance(event, PingAckReceived):
            self.server.pings_answered += 1
        elif isinstance(event, PingReceived):
            self.server.pings_seen += 1
        elif isinstance(event, WindowUpdated):
            self._send_more()

    def _judge(self, stream_id: int) -> None:
        if request := self.open_requests.pop(stream_id, None):
            self.server.requests.append(request)
            self.server.behaviour(request)

    def answer(self, stream_id: int, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send headers, then as much of the body as the client's window takes."""
        self.h2.send_headers(stream_id, [(":status", str(status)), *headers.items()], end_stream=not body)
        if body:
            self.unsent[stream_id] = body
        self._send_more()
        self.flush()

    def goaway(self, last_stream_id: int) -> None:
        """Announce that streams above `last_stream_id` were not processed."""
        self.h2.close_connection(ErrorCodes.NO_ERROR, last_stream_id=last_stream_id)
        self.flush()
        self.is_leaving = True

    def hang_up(self) -> None:
        """Close in good order, after everything written has left."""
        self.transport.close()

    def drop(self) -> None:
        """Close without a word."""
        self.transport.abort()

    def flush(self) -> None:
        """Write what h2 wants written."""
        if not self.transport.is_closing():
            self.transport.write(self.h2.data_to_send())

    def _send_more(self) -> None:
        for stream_id, body in list(self.unsent.items()):
            while body and (window := self.h2.local_flow_control_window(stream_id)):
                piece, body = body[: min(window, 16384)], body[min(window, 16384) :]
                self.h2.send_data(stream_id, piece, end_stream=not body)
            self.unsent[stream_id] = body
            if not body:
                del self.unsent[stream_id]


@dataclass
class H2Server:
    """Serves in a thread of its own between `start` and `stop`."""

    certificate: Certificate
    behaviour: Behaviour = answer_200
    max_streams: int = 0
    window: int = 65_535  #: bytes of a request's body that a client may send unasked
    is_hasty: bool = False  #: behave as soon as the headers are in, as nginx does where the body decides nothing
    protocols: tuple[str, ...] = ("h2",)  #: offered by ALPN
    handshake_s: float = 60.0  #: a client that takes longer is sent away
    requests: list[Request] = field(default_factory=list)
    opened: list[Connection] = field(default_factory=list)  #: every one there was
    connections: int = 0
    most_streams: int = 0  #: open at once on one connection
    resets: list[int] = field(default_factory=list)  #: error codes of streams that clients ended
    pings_answered: int = 0
    pings_seen: int = 0
    when_left: Callable[[], None] = lambda: None  #: called when a client has gone
    port: int = 0

    def start(self) -> H2Server:
        """Listen on a free loopback port."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate.file, self.certificate.key_file)
        if self.protocols:
            context.set_alpn_protocols(self.protocols)
        self._loop = asyncio.new_event_loop()
        self._listener = self._loop.run_until_complete(
            self._loop.create_server(
                lambda: Connection(self), "127.0.0.1", 0, ssl=context, ssl_handshake_timeout=self.handshake_s
            )
        )
        self.port = self._listener.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the listener and every connection."""
        asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def url(self) -> str:
        """The server's origin."""
        return f"https://localhost:{self.port}"

    @property
    def paths(self) -> list[str]:
        """The paths of all requests so far, sorted."""
        return sorted(request.path for request in self.requests)

    def call_soon(self, step: Callable[[], None]) -> None:
        """Run a step in the server's thread."""
        self._loop.call_soon_threadsafe(step)

    def count_connection(self) -> int:
        """Number the next connection from 1."""
        self.connections += 1
        return self.connections

    async def _shut_down(self) -> None:
        self._listener.close()
        for connection in self.opened:
            connection.transport.abort()
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate on disk; it is its own CA file."""

    file: str
    key_file: str


def make_certificate(folder: Path, name: str = "localhost", *, days: int = 1) -> Certificate:
    """A certificate for `name` and 127.0.0.1; negative `days` makes an expired one."""
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = datetime.now(UTC) - timedelta(days=2)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(datetime.now(UTC) + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, SHA256())
    )
    file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Certificate(str(file), str(key_file))
