"""Which ports the simulators listen on: given, remembered from the last run, or free ones."""

from __future__ import annotations

import errno
import secrets
import socket
from pathlib import Path

import msgspec

from messaging.simulators.saved_files import replace

SERVICES = ("fcm", "google_token", "apns", "apns_sandbox", "wns_token", "wns", "webpush", "control")
PATHS = {"google_token": "/token", "wns_token": "/accesstoken.srf"}

FREE_PORTS = range(20_000, 32_000)


class PortTaken(Exception):
    """A port asked for is in use."""


def bind_all(folder: Path, host: str, port_base: int) -> dict[str, socket.socket]:
    """Bind a socket per service: `port_base` and the next ones, or with 0 those of the last run where they are free.

    Registered channel URIs and subscriptions hold the ports, so a restart has to come back on them.
    Raises PortTaken.
    """
    if port_base:
        return _bind_row(host, port_base)
    remembered = _remembered(folder)
    bound = {service: _bind_or_free(host, remembered.get(service, 0)) for service in SERVICES}
    ports = {service: _port(listening) for service, listening in bound.items()}
    replace(folder / "ports.json", msgspec.json.encode(ports))
    return bound


def urls_of(bound: dict[str, socket.socket]) -> dict[str, str]:
    """Return each service's URL."""
    return {service: f"https://localhost:{_port(item)}{PATHS.get(service, '')}" for service, item in bound.items()}


def _bind_row(host: str, port_base: int) -> dict[str, socket.socket]:
    bound: dict[str, socket.socket] = {}
    for number, service in enumerate(SERVICES, port_base):
        try:
            bound[service] = _bind(host, number)
        except OSError as err:
            for other in bound.values():
                other.close()
            raise PortTaken(f"Port {number} for {service} on {host} cannot be used: {err.strerror}.") from err
    return bound


def _bind_or_free(host: str, port: int) -> socket.socket:
    try:
        return _bind(host, port) if port else _bind_free(host)
    except OSError as err:
        if err.errno != errno.EADDRINUSE:
            raise PortTaken(f"Cannot listen on {host}: {err.strerror}.") from err
        return _bind_free(host)


def _bind_free(host: str) -> socket.socket:
    # Below the system's ephemeral range (from 32,768 on Linux): an outgoing connection of somebody else would
    # otherwise sit on a remembered port sooner or later.
    start = secrets.randbelow(len(FREE_PORTS))
    for offset in range(len(FREE_PORTS)):
        try:
            return _bind(host, FREE_PORTS[(start + offset) % len(FREE_PORTS)])
        except OSError as err:
            if err.errno != errno.EADDRINUSE:
                raise
    return _bind(host, 0)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    # Connections of the last run may still be in TIME_WAIT.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        # Two sockets with SO_REUSEADDR may both bind; only one may listen. Listening now finds a taken port here.
        listening.listen(512)
    except OSError:
        listening.close()
        raise
    return listening


def _port(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


def _remembered(folder: Path) -> dict[str, int]:
    try:
        return msgspec.json.decode((folder / "ports.json").read_bytes(), type=dict[str, int])
    except (FileNotFoundError, msgspec.MsgspecError):
        return {}
