"""Look a host up, connect to the first of its addresses that may be used and answers, agree on TLS; never blocks."""

from __future__ import annotations

import errno
import select
import socket
import ssl
import threading
import time
from typing import Any, NoReturn

from messaging.providers.base import TransportFailure
from messaging.providers.tls_stream import TlsStream
from messaging.providers.transport_rules import TransportRules

#: A connection that says nothing for a minute is probed every 20 s, so that one that a middlebox forgot ends.
_KEEPALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 20, socket.TCP_KEEPCNT: 3}


HTTP2, HTTP1 = "h2", "http/1.1"  #: as ALPN names them


class DialFailed(Exception):
    """No address of the host could be connected to."""

    def __init__(self, failure: TransportFailure, detail: str) -> None:
        super().__init__(detail)
        self.failure, self.detail = failure, detail


class _Lookup:
    """getaddrinfo in a thread of its own, because it may block for half a minute; `done` gets readable at its end."""

    def __init__(self, host: str, port: int) -> None:
        self.found: list[tuple[Any, ...]] = []
        self.trouble = ""
        # The thread closes its own end: the transport may be closed, and the number of `done` used anew, before that.
        self.done, end = socket.socketpair()
        threading.Thread(target=self._run, args=(host, port, end), name=f"lookup {host}", daemon=True).start()

    def _run(self, host: str, port: int, end: socket.socket) -> None:
        with end:
            try:
                self.found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                self.trouble = str(error)


class Dial:
    """One attempt to reach a host; the transport watches `fd` for `mask` and calls `advance`."""

    def __init__(self, address: tuple[str, int], rules: TransportRules, context: ssl.SSLContext, until: float) -> None:
        self._host, port = address
        self._rules, self._context, self._until = rules, context, until
        self._lookup: _Lookup | None = _Lookup(self._host, port)
        self._addresses: list[tuple[Any, ...]] = []
        self._socket = self._lookup.done
        self._stream: TlsStream | None = None
        self._trouble, self._forbidden = "", False
        self.wake_at = self._until  #: call `advance` then, even if nothing happened
        self.mask: int = select.EPOLLIN

    @property
    def fd(self) -> int:
        """The descriptor to watch; another one after `advance`."""
        return self._socket.fileno()

    def advance(self, *, is_ready: bool) -> TlsStream | None:
        """The stream, or None while there is none yet. Raises DialFailed.

        `is_ready`: `fd` is; otherwise `wake_at` has come.
        """
        if self._lookup is not None:
            if not is_ready:
                self._fail("the name was not resolved in time")
            return self._judge_lookup(self._lookup)
        if self._stream is not None:
            if not is_ready:
                self._fail("no TLS in time")
            return self._secure(self._stream)
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if is_ready else errno.ETIMEDOUT
        if code == 0:
            return self._greet()
        self._trouble = f"{errno.errorcode.get(code, code)} from {self._socket_name}"
        self._socket.close()
        return self._try_next()

    def close(self) -> None:
        """Give up."""
        self._socket.close()

    def _judge_lookup(self, lookup: _Lookup) -> TlsStream | None:
        lookup.done.close()
        self._lookup = None
        if not lookup.found:
            self._fail(f"the name was not resolved: {lookup.trouble}")
        self._addresses = [entry for entry in lookup.found if self._rules.allows(str(entry[4][0]))]
        self._forbidden = len(self._addresses) < len(lookup.found)
        return self._try_next()

    def _try_next(self) -> TlsStream | None:
        while self._addresses:
            family, kind, protocol, _, address = self._addresses.pop(0)
            self._socket_name = f"{address[0]} port {address[1]}"
            try:
                self._socket = socket.socket(family, kind, protocol)
            except OSError as error:
                # A kernel without IPv6 knows the addresses all the same; a process may have too many files open.
                self._trouble = f"{error.strerror} for {self._socket_name}"
                continue
            self._socket.setblocking(False)
            _tune(self._socket)
            code = self._socket.connect_ex(address)
            if code == 0:
                return self._greet()
            if code == errno.EINPROGRESS:
                now = time.monotonic()
                # An address that swallows packets must not use up the time of those behind it.
                self.wake_at = now + max(0.0, self._until - now) / (len(self._addresses) + 1)
                self.mask = select.EPOLLOUT
                return None
            self._trouble = f"{errno.errorcode.get(code, code)} from {self._socket_name}"
            self._socket.close()
        self._fail(self._trouble or "no address of the host may be connected to")

    def _greet(self) -> TlsStream | None:
        """The host is reached: begin the handshake."""
        self._stream = TlsStream(self._socket, self._context, self._host)
        self._forbidden = False
        self.wake_at = self._until
        return self._secure(self._stream)

    def _secure(self, stream: TlsStream) -> TlsStream | None:
        try:
            lost = stream.arrive()
            is_done = stream.shake_hands()
        except ssl.SSLError as error:
            self._fail(str(error), TransportFailure.TLS)
        except OSError as error:
            self._fail(str(error))
        if is_done and not (stream.protocol == HTTP2 or self._rules.http1):
            self._fail("the server does not speak HTTP/2", TransportFailure.TLS)
        if lost and not is_done:
            self._fail(lost)
        self.mask = stream.mask
        return stream if is_done else None

    def _fail(self, detail: str, failure: TransportFailure = TransportFailure.NOT_SENT) -> NoReturn:
        failure = TransportFailure.FORBIDDEN_ADDRESS if self._forbidden else failure
        raise DialFailed(failure, f"{self._host}: {detail}")


def _tune(opened: socket.socket) -> None:
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, setting in _KEEPALIVE.items():
        opened.setsockopt(socket.IPPROTO_TCP, option, setting)


def new_context(rules: TransportRules) -> ssl.SSLContext:
    """Verifies the chain and the host's name. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([HTTP2, HTTP1] if rules.http1 else [HTTP2])
    if rules.ca_file:
        context.load_verify_locations(rules.ca_file)
    else:
        context.load_default_certs()
    return context
