"""Connections of the synchronous client, kept for the next call. Threads may share them."""

from __future__ import annotations

import functools
import http.client
import select
from collections import deque
from collections.abc import Callable
from typing import Any

from messaging.client.calls import Request, Response, retry_after_s
from messaging.client.target import Target

_MOST_IDLE = 10


class KeptConnections:
    """Each is used by one thread at a time."""

    def __init__(self, target: Target, timeout: float) -> None:
        connection: Callable[..., http.client.HTTPConnection] = http.client.HTTPConnection
        if target.tls is not None:
            connection = functools.partial(http.client.HTTPSConnection, context=target.tls)
        self._connect = functools.partial(connection, target.host, target.port, timeout=timeout)
        self._target = target
        self._idle: deque[http.client.HTTPConnection] = deque()

    def send(self, request: Request[Any]) -> Response:
        """One try. Raises OSError and HTTPException when there is no answer."""
        connection = self._taken() if request.is_repeatable else self._connect()
        is_usable = False
        try:
            body = request.encoded()
            headers = dict(self._target.headers(request, body))
            connection.request(request.method, self._target.prefix + request.path, body, headers)
            answer = connection.getresponse()
            response = Response(answer.status, answer.read(), retry_after_s(answer.headers.get("Retry-After", "")))
            is_usable = not answer.will_close
        finally:
            self._give_back(connection, is_usable=is_usable)
        return response

    def _taken(self) -> http.client.HTTPConnection:
        """An idle connection that the server has not closed meanwhile, or a new one."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._connect()
            if connection.sock is not None and not _is_readable(connection):
                return connection
            connection.close()

    def _give_back(self, connection: http.client.HTTPConnection, *, is_usable: bool) -> None:
        if is_usable and len(self._idle) < _MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()


def _is_readable(connection: http.client.HTTPConnection) -> bool:
    """Between two calls nothing comes but the end."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))
