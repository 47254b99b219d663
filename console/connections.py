"""The connections of this process, seen through the kernel: granian keeps them to itself (Linux proc(5), tcp(7))."""

from __future__ import annotations

import os
import socket
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

_FDS = "/proc/self/fd"
#: tcpi_last_data_sent and tcpi_last_data_recv of `struct tcp_info` (linux/tcp.h), in milliseconds: eight bytes, nine
#: 32-bit words, the one, another word, the other
_LAST_DATA = struct.Struct("=44xI4xI")


@dataclass(frozen=True, slots=True)
class Silent:
    """Connections of `address` to our `port` on which we sent nothing for so long, and they nothing for that long."""

    address: str
    port: int
    our_s: float
    their_s: float = 0.0


def shut_down_reading(silent: Silent) -> int:
    """Stop to read from every such connection; how many.

    Which of them belongs to a request is not known. Those that wait between two requests close as they may at any time.
    """
    found = 0
    with suppress(OSError):  # no descriptor left to look with: the next time
        for name in os.listdir(_FDS):
            with suppress(OSError, ValueError):  # closed meanwhile; no address of a client
                found += _shut_down(int(name), silent)
    return found


def _shut_down(descriptor: int, silent: Silent) -> bool:
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return False
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.type != socket.SOCK_STREAM:
            return False
        if not _is_between(connection, silent.address, silent.port) or not _is_silent(connection, silent):
            return False
        connection.shutdown(socket.SHUT_RD)
        return True


def _is_between(connection: socket.socket, address: str, port: int) -> bool:
    ours: Any = connection.getsockname()
    theirs: Any = connection.getpeername()  # OSError for a socket that listens
    return bool(ours[1] == port and ip_address(theirs[0]) == ip_address(address))


def _is_silent(connection: socket.socket, silent: Silent) -> bool:
    information = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA.size)
    ours_ms, theirs_ms = _LAST_DATA.unpack(information)
    return bool(ours_ms >= silent.our_s * 1000 and theirs_ms >= silent.their_s * 1000)
