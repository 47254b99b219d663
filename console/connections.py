"""The connections of this process, seen through the kernel: granian keeps them to itself (Linux proc(5), tcp(7))."""

from __future__ import annotations

import os
import socket
import stat
import struct
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

_FDS = "/proc/self/fd"
#: tcpi_last_data_sent of `struct tcp_info` (linux/tcp.h): eight bytes, nine 32-bit words, then milliseconds
_LAST_DATA_SENT = struct.Struct("=44xI")


def shut_down_reading(address: str, port: int, *, silent_s: float) -> int:
    """Stop to read from every connection of `address` to our `port` on which we sent nothing for so long; how many.

    Which of them belongs to a request is not known. Those that wait between two requests close as they may at any time.
    """
    found = 0
    with suppress(OSError):  # no descriptor left to look with: the next time
        for name in os.listdir(_FDS):
            with suppress(OSError, ValueError):  # closed meanwhile; no address of a client
                found += _shut_down(int(name), address, port, silent_s)
    return found


def _shut_down(descriptor: int, address: str, port: int, silent_s: float) -> bool:
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return False
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.type != socket.SOCK_STREAM:
            return False
        if not _is_between(connection, address, port) or _silent_s(connection) < silent_s:
            return False
        connection.shutdown(socket.SHUT_RD)
        return True


def _is_between(connection: socket.socket, address: str, port: int) -> bool:
    ours: Any = connection.getsockname()
    theirs: Any = connection.getpeername()  # OSError for a socket that listens
    return bool(ours[1] == port and ip_address(theirs[0]) == ip_address(address))


def _silent_s(connection: socket.socket) -> float:
    information = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_SENT.size)
    milliseconds: int = _LAST_DATA_SENT.unpack(information)[0]
    return milliseconds / 1000
