from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from console import postgres
from console.postgres import DatabaseUnavailable

#: Says the postmaster's pid once the server is up, keeps needing it until standard input ends, then leaves it.
USER_OF_THE_SERVER = """
import sys
from pathlib import Path
from console import postgres
data_dir = Path(sys.argv[1])
postgres.ensure_running(data_dir, durable=False)
print((data_dir / "postgres/postmaster.pid").read_text().split()[0], flush=True)
sys.stdin.read()
postgres.stop(data_dir)
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "data"
    postgres.stop(tmp_path / "data")


def start(data_dir: Path) -> postgres.ServerAddress:
    return postgres.ensure_running(data_dir, durable=False)


def connect(address: postgres.ServerAddress) -> psycopg.Connection:
    return psycopg.connect(address.url, autocommit=True)


def postmaster_of(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited 30 s in vain"
        time.sleep(0.01)


def is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


def crash(data_dir: Path) -> None:
    pid = postmaster_of(data_dir)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: is_dead(pid))


def name_as_postmaster(data_dir: Path, pid: int) -> None:
    """Make both lock files of a crashed server name `pid`, as they would after a container restart."""
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        lock = Path(data_dir / "postgres", name)
        lock.write_text("\n".join([str(pid), *lock.read_text().splitlines()[1:], ""]))


def need(data_dir: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", USER_OF_THE_SERVER, str(data_dir)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_the_server_takes_queries_when_it_is_returned(data_dir: Path) -> None:
    address = start(data_dir)

    with closing(connect(address)) as connection:
        assert connection.execute("SELECT lower('ÄÖ'), current_database()").fetchone() == ("äö", "clarion")


def test_the_server_listens_on_no_network_port(data_dir: Path) -> None:
    with closing(connect(start(data_dir))) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert Path(start(data_dir).socket_dir).stat().st_mode & 0o077 == 0


def test_the_server_writes_to_disk_before_it_confirms(data_dir: Path) -> None:
    with closing(connect(postgres.ensure_running(data_dir))) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)


def test_ctrl_c_at_the_terminal_does_not_reach_the_server(data_dir: Path) -> None:
    start(data_dir)

    pid = postmaster_of(data_dir)

    assert (os.getsid(pid), os.getpgid(pid)) == (pid, pid)


def test_the_address_is_known_before_the_server_runs(data_dir: Path) -> None:
    expected = postgres.database_settings(data_dir)

    assert postgres.running(data_dir) is None
    assert start(data_dir).django_settings == expected
    assert postgres.running(data_dir) == start(data_dir)


def test_three_starts_at_once_give_one_server(data_dir: Path) -> None:
    processes = [need(data_dir) for _ in range(3)]

    postmasters = {first_line(process) for process in processes}
    for process in processes:
        process.communicate(timeout=60)

    assert len(postmasters) == 1
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert postgres.running(data_dir) is None


def test_a_server_somebody_else_needs_is_not_stopped(data_dir: Path) -> None:
    with need(data_dir) as other:
        first_line(other)
        start(data_dir)

        assert postgres.stop(data_dir) is False
        assert postgres.running(data_dir) is not None


def test_only_who_asked_for_the_server_may_stop_it(data_dir: Path) -> None:
    with need(data_dir) as other:
        first_line(other)

        assert postgres.stop(data_dir) is False
        assert postgres.running(data_dir) is not None


def test_a_server_whose_user_was_killed_is_stopped_by_the_next(data_dir: Path) -> None:
    with need(data_dir) as other:
        first_line(other)
        other.kill()
    survivor = postmaster_of(data_dir)

    start(data_dir)

    assert postmaster_of(data_dir) == survivor
    assert postgres.stop(data_dir) is True


def test_a_killed_postmaster_is_replaced_and_nothing_committed_is_lost(data_dir: Path) -> None:
    with closing(connect(start(data_dir))) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 10000000000)")  # busy: sees no signal
        connection.pgconn.flush()
        crash(data_dir)

        assert postgres.running(data_dir) is None
        with closing(connect(start(data_dir))) as again:
            assert again.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_stale_pid_file_naming_a_foreign_process_does_not_block_the_start(data_dir: Path) -> None:
    start(data_dir)
    crash(data_dir)
    with subprocess.Popen(["/bin/sleep", "600"]) as foreign:
        name_as_postmaster(data_dir, foreign.pid)

        start(data_dir)

        assert postmaster_of(data_dir) != foreign.pid
        assert foreign.poll() is None
        foreign.kill()


def test_a_stale_pid_file_naming_a_zombie_does_not_block_the_start(data_dir: Path) -> None:
    start(data_dir)
    crash(data_dir)
    with subprocess.Popen(["/bin/true"]) as zombie:  # dead, and not waited for before the block ends
        wait_until(lambda: is_dead(zombie.pid))
        name_as_postmaster(data_dir, zombie.pid)

        start(data_dir)

        assert postmaster_of(data_dir) != zombie.pid


def test_a_cluster_of_another_major_version_is_refused(data_dir: Path) -> None:
    start(data_dir)
    postgres.stop(data_dir)
    (data_dir / "postgres" / "PG_VERSION").write_text("12\n")

    with pytest.raises(DatabaseUnavailable, match="was made by PostgreSQL 12, but this machine has"):
        start(data_dir)


def test_an_initdb_cut_short_is_done_again(data_dir: Path) -> None:
    (data_dir / "postgres.new").mkdir(parents=True)
    (data_dir / "postgres.new" / "PG_VERSION").write_text("18\n")

    assert start(data_dir)


@pytest.mark.parametrize("name", ["x" * 120, "with space, comma and $HOME"])
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    data_dir = tmp_path / name
    try:
        address = start(data_dir)
        connect(address).close()
    finally:
        postgres.stop(data_dir)

    assert not Path(address.socket_dir).exists()


def test_a_socket_folder_prepared_by_somebody_else_is_refused(tmp_path: Path) -> None:
    data_dir = tmp_path / ("x" * 120)
    folder = Path(str(postgres.database_settings(data_dir)["HOST"]))
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    try:
        with pytest.raises(DatabaseUnavailable, match="belongs to somebody else"):
            start(data_dir)
    finally:
        shutil.rmtree(folder)


def test_a_start_that_fails_says_what_the_server_said(data_dir: Path) -> None:
    start(data_dir)
    postgres.stop(data_dir)
    with (data_dir / "postgres" / "postgresql.conf").open("a") as file:
        file.write("nonsense = 1\n")

    with pytest.raises(DatabaseUnavailable, match="configuration file .* contains errors"):
        start(data_dir)


def test_a_server_of_database_url_that_fits_is_accepted(data_dir: Path) -> None:
    address = start(data_dir)

    postgres.check_server({"host": address.socket_dir, "user": address.user, "dbname": address.database})


def test_a_database_in_another_encoding_is_refused(data_dir: Path) -> None:
    address = start(data_dir)
    with closing(connect(address)) as connection:
        connection.execute(
            "CREATE DATABASE plain ENCODING 'SQL_ASCII' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0"
        )

    with pytest.raises(DatabaseUnavailable, match="encoded in SQL_ASCII; Clarion needs UTF8"):
        postgres.check_server({"host": address.socket_dir, "user": address.user, "dbname": "plain"})


def test_an_unreachable_server_is_one_sentence_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="^The PostgreSQL server of DATABASE_URL cannot be used: ") as caught:
        postgres.check_server({"host": str(tmp_path), "user": "u", "password": "hunter2", "dbname": "d"})

    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_older_than_15_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet_as_postgresql_13, args=[listener])
        thread.start()

        with pytest.raises(
            DatabaseUnavailable, match=r"^Clarion needs PostgreSQL 15 or newer; DATABASE_URL's is 13\.4"
        ):
            postgres.check_server({"host": "127.0.0.1", "port": listener.getsockname()[1], "sslmode": "disable"})

        thread.join()


def greet_as_postgresql_13(listener: socket.socket) -> None:
    """Speak the start-up phase of the PostgreSQL protocol 3.0 ("Message Flow", 54.2.1) as an old server would."""
    with listener.accept()[0] as client:
        client.recv(1024)
        status = b"server_version\x0013.4\x00"
        client.sendall(b"R\x00\x00\x00\x08\x00\x00\x00\x00")  # AuthenticationOk
        client.sendall(b"S" + (4 + len(status)).to_bytes(4, "big") + status)
        client.sendall(b"Z\x00\x00\x00\x05I")  # ReadyForQuery, idle
        client.recv(1024)
