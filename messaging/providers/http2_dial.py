"""Look a host up and connect to the first of its addresses that may be used and answers; never blocks."""

from __future__ import annotations

import errno
import select
import socket
import threading
import time
from typing import Any, NoReturn

from messaging.providers.base import TransportFailure
from messaging.providers.transport_rules import TransportRules

#: A connection that says nothing for a minute is probed every 20 s, so that one that a middlebox forgot ends.
_KEEPALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 20, socket.TCP_KEEPCNT: 3}


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

    def __init__(self, host: str, port: int, rules: TransportRules, until: float) -> None:
        self._host, self._rules, self._until = host, rules, until
        self._lookup: _Lookup | None = _Lookup(host, port)
        self._addresses: list[tuple[Any, ...]] = []
        self._socket = self._lookup.done
        self._trouble, self._forbidden = "", False
        self.wake_at = self._until  #: call `advance` then, even if nothing happened
        self.mask: int = select.EPOLLIN

    @property
    def fd(self) -> int:
        """The descriptor to watch; another one after `advance`."""
        return self._socket.fileno()

    def advance(self, *, is_ready: bool) -> socket.socket | None:
        """The connected socket, or None while there is none yet. Raises DialFailed.

        `is_ready`: `fd` is; otherwise `wake_at` has come.
        """
        if self._lookup is not None:
            if not is_ready:
                self._fail("the name was not resolved in time")
            return self._judge_lookup(self._lookup)
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if is_ready else errno.ETIMEDOUT
        if code == 0:
            return self._socket
        self._trouble = f"{errno.errorcode.get(code, code)} from {self._socket_name}"
        self._socket.close()
        return self._try_next()

    def close(self) -> None:
        """Give up."""
        self._socket.close()

    def _judge_lookup(self, lookup: _Lookup) -> socket.socket | None:
        lookup.done.close()
        self._lookup = None
        if not lookup.found:
            self._fail(f"the name was not resolved: {lookup.trouble}")
        self._addresses = [entry for entry in lookup.found if self._rules.allows(str(entry[4][0]))]
        self._forbidden = len(self._addresses) < len(lookup.found)
        return self._try_next()

    def _try_next(self) -> socket.socket | None:
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
                return self._socket
            if code == errno.EINPROGRESS:
                now = time.monotonic()
                # An address that swallows packets must not use up the time of those behind it.
                self.wake_at = now + max(0.0, self._until - now) / (len(self._addresses) + 1)
                self.mask = select.EPOLLOUT
                return None
            self._trouble = f"{errno.errorcode.get(code, code)} from {self._socket_name}"
            self._socket.close()
        self._fail(self._trouble or "no address of the host may be connected to")

    def _fail(self, detail: str) -> NoReturn:
        failure = TransportFailure.FORBIDDEN_ADDRESS if self._forbidden else TransportFailure.NOT_SENT
        raise DialFailed(failure, f"{self._host}: {detail}")


def _tune(opened: socket.socket) -> None:
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, setting in _KEEPALIVE.items():
        opened.setsockopt(socket.IPPROTO_TCP, option, setting)
