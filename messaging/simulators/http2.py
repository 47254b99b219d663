"""HTTP/2, server side: frames to requests, answers to frames, and the ways a real service ends connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from messaging.simulators.exchange import MAX_BODY, Answer, ConnectionRules, Ending, Request, Responder
from messaging.simulators.http_headers import headers_of, repeated_names

CONNECTION_WINDOW = 1 << 30
#: After GOAWAY the client is to close. A close from our side while its streams still come in makes the kernel send
#: RST, which can take the GOAWAY and the last answers out of the client's receive buffer.
LINGER_S = 1.0


class Http2Connection:
    """One HTTP/2 connection of a port."""

    def __init__(self, transport: asyncio.Transport, responder: Responder, number: int) -> None:
        self._transport = transport
        self._responder = responder
        self._number = number
        self._rules = responder.rules
        self._is_held = responder.rules.is_one_stream_first
        self._open: dict[int, _Stream] = {}  #: streams whose request is coming in or not yet answered
        self._unsent: dict[int, memoryview] = {}  #: bodies waiting for the client's flow-control window
        self._requests = 0
        self._last_stream: int | None = None  #: set once GOAWAY was sent
        self._closing: asyncio.TimerHandle | None = None
        self._unreturned = 0  #: bytes received and not given back to the connection window
        self._is_receiving = False
        self._h2 = H2Connection(
            H2Configuration(
                client_side=False,
                header_encoding="latin-1",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self._on: dict[type[Event], Callable[..., None]] = {
            RequestReceived: self._on_request,
            DataReceived: self._on_data,
            StreamEnded: self._on_end,
            StreamReset: self._on_reset,
            WindowUpdated: self._on_window,
            RemoteSettingsChanged: self._on_window,
            SettingsAcknowledged: self._ignore,
            ConnectionTerminated: self._on_terminated,
        }
        self._start()

    def receive(self, data: bytes) -> None:
        """Take bytes from the client."""
        self._is_receiving = True
        try:
            for event in self._h2.receive_data(data):
                self._on.get(type(event), self._ignore)(event)
        except ProtocolError:
            self._flush()  # h2 has queued the GOAWAY that tells the client what it did
            self._transport.close()
            return
        finally:
            self._is_receiving = False
        self._flush()
        self._close_if_drained()

    def apply(self, rules: ConnectionRules) -> None:
        """Follow new rules; a changed stream limit goes out as SETTINGS."""
        self._is_held = self._is_held and rules.is_one_stream_first
        limit = 1 if self._is_held else rules.max_streams
        if limit != self._stream_limit:
            self._announce(limit)
        self._rules = rules

    def abort(self) -> None:
        """Cut the connection without a word."""
        self._transport.abort()

    def _start(self) -> None:
        self._stream_limit = 1 if self._is_held else self._rules.max_streams
        maximum = SettingCodes.MAX_CONCURRENT_STREAMS
        self._h2.local_settings = Settings(client=False, initial_values={maximum: self._stream_limit})
        self._h2.initiate_connection()
        # A client may open streams before our SETTINGS reach it; only its ACK makes the limit binding (RFC 9113 6.5.3).
        lenient = Settings(client=False, initial_values={maximum: 2**31 - 1})
        lenient[maximum] = self._stream_limit
        self._h2.local_settings = lenient
        self._h2.increment_flow_control_window(CONNECTION_WINDOW)
        self._flush()

    def _announce(self, limit: int) -> None:
        self._stream_limit = limit
        self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: limit})
        if not self._is_receiving:
            self._flush()

    def _on_request(self, event: RequestReceived) -> None:
        # Streams above a GOAWAY's last-stream-id are not processed; the client sends them again elsewhere.
        if self._last_stream is not None:
            return
        self._requests += 1
        self._open[event.stream_id] = _Stream(event.headers)  # type: ignore[arg-type]
        if self._rules.goaway_every and self._requests >= self._rules.goaway_every:
            self._last_stream = event.stream_id

    def _on_data(self, event: DataReceived) -> None:
        self._return_window(event.flow_controlled_length)
        stream = self._open.get(event.stream_id)
        if stream is None or stream.is_judged:
            return
        stream.body += event.data
        if len(stream.body) > MAX_BODY:
            self._judge(event.stream_id, stream)

    def _on_end(self, event: StreamEnded) -> None:
        stream = self._open.get(event.stream_id)
        if stream is not None and not stream.is_judged:
            self._judge(event.stream_id, stream)

    def _judge(self, stream_id: int, stream: _Stream) -> None:
        stream.is_judged = True
        self._responder.handle(stream.request(self._number), partial(self._reply, stream_id))
        if stream_id == self._last_stream:
            self._say_goaway()

    def _on_reset(self, event: StreamReset) -> None:
        self._open.pop(event.stream_id, None)
        self._unsent.pop(event.stream_id, None)

    def _on_window(self, event: Event) -> None:
        for stream_id in tuple(self._unsent):
            self._send_body(stream_id)

    def _on_terminated(self, event: ConnectionTerminated) -> None:
        self._transport.close()

    def _ignore(self, event: Event) -> None:
        """Pings and priorities need nothing from us."""

    def _return_window(self, size: int) -> None:
        self._unreturned += size
        if self._unreturned > CONNECTION_WINDOW // 2:
            self._h2.increment_flow_control_window(self._unreturned)
            self._unreturned = 0

    def _say_goaway(self) -> None:
        # Past h2: its close_connection() forbids answers afterwards, a real service still answers up to last-stream-id.
        self._flush()
        frame = GoAwayFrame(
            0,
            last_stream_id=self._last_stream or 0,
            error_code=ErrorCodes.NO_ERROR,
            additional_data=self._rules.goaway_debug,
        )
        self._transport.write(frame.serialize())
        if not self._rules.is_drained:
            self._open.clear()  # nobody gets an answer any more

    def _reply(self, stream_id: int, answer: Answer) -> None:
        if stream_id not in self._open or self._transport.is_closing():
            return
        if answer.authenticated and self._is_held:
            self._is_held = False
            self._announce(self._rules.max_streams)
        self._end(stream_id, answer)
        if not self._is_receiving:
            self._flush()
            self._close_if_drained()

    def _end(self, stream_id: int, answer: Answer) -> None:
        if answer.ending is Ending.ANSWER:
            self._send(stream_id, answer)
        elif answer.ending is Ending.RESET:
            self._h2.reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
            self._open.pop(stream_id)
        elif answer.ending is Ending.CUT:
            self._flush()
            self._transport.abort()

    def _send(self, stream_id: int, answer: Answer) -> None:
        headers = [(":status", str(answer.status)), *headers_of(answer)]
        has_body = bool(answer.body) and self._open[stream_id].has_answer_body
        self._h2.send_headers(stream_id, headers, end_stream=not has_body)
        if has_body:
            self._unsent[stream_id] = memoryview(answer.body)
            self._send_body(stream_id)
        else:
            self._open.pop(stream_id)

    def _send_body(self, stream_id: int) -> None:
        rest = self._unsent[stream_id]
        while rest:
            window = min(self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size)
            if window <= 0:
                break
            self._h2.send_data(stream_id, rest[:window].tobytes(), end_stream=len(rest) <= window)
            rest = rest[window:]
        self._unsent[stream_id] = rest
        if not rest:
            del self._unsent[stream_id]
            self._open.pop(stream_id)

    def _close_if_drained(self) -> None:
        if self._last_stream is not None and not self._open and self._closing is None:
            self._closing = asyncio.get_running_loop().call_later(LINGER_S, self._transport.close)

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)


class _Stream:
    """A request on its way in."""

    __slots__ = ("body", "headers", "is_judged")

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        self.headers = headers
        self.body = bytearray()
        self.is_judged = False

    @property
    def has_answer_body(self) -> bool:
        """False for HEAD."""
        return (":method", "HEAD") not in self.headers

    def request(self, connection: int) -> Request:
        """Return the request as far as it came in."""
        headers = dict(self.headers)
        return Request(
            method=headers.pop(":method"),
            path=headers.pop(":path"),
            headers=headers,
            body=bytes(self.body),
            connection=connection,
            authority=headers.get(":authority", ""),
            http_version="2",
            repeated=repeated_names(self.headers),
        )
