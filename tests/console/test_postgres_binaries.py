from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console import postgres
from console.postgres import DatabaseUnavailable

CLONE_NEWUSER = 0x10000000  # linux/sched.h

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder of the user nobody; pytest's own are closed to everybody else."""
    folder = Path(tempfile.mkdtemp(prefix="clarion-nobody-"))
    folder.chmod(0o755)
    account = pwd.getpwnam("nobody")
    os.chown(folder, account.pw_uid, account.pw_gid)
    yield folder
    shutil.rmtree(folder)


def start(data_dir: Path) -> None:
    postgres.ensure_running(data_dir, durable=False)


def start_and_tell_owner(data_dir: Path) -> int:
    """Start the server, say which user runs it, and stop it."""
    start(data_dir)
    try:
        postmaster = (data_dir / "postgres" / "postmaster.pid").read_text().split()[0]
        return Path(f"/proc/{postmaster}").stat().st_uid
    finally:
        assert postgres.stop(data_dir)


def in_child(prepare: Callable[[], None], step: Callable[[], None]) -> bool:
    """Run both in a forked child, since another user may not be able to start this Python; True if all went well."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            prepare()
            step()
            code = 0
        except Exception:  # noqa: BLE001 - a child must never come back into pytest
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def become_nobody() -> None:
    account = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def test_an_ordinary_user_runs_the_server_as_themselves(open_folder: Path) -> None:
    def step() -> None:
        assert start_and_tell_owner(open_folder / "data") == os.geteuid()

    assert in_child(become_nobody, step)


def test_root_runs_the_server_in_a_user_namespace_and_owns_its_files(tmp_path: Path) -> None:
    start(tmp_path)
    try:
        postmaster = (tmp_path / "postgres" / "postmaster.pid").read_text().split()[0]

        assert Path(f"/proc/{postmaster}/uid_map").read_text().split() == ["1000", "0", "1"]
        assert (tmp_path / "postgres" / "PG_VERSION").stat().st_uid == 0
    finally:
        postgres.stop(tmp_path)


def test_root_starts_the_cluster_of_an_ordinary_user_as_that_user(open_folder: Path) -> None:
    assert in_child(become_nobody, lambda: start(open_folder))

    assert start_and_tell_owner(open_folder) == pwd.getpwnam("nobody").pw_uid


def forbid_user_namespaces(ready: int, mapped: int) -> None:
    """Enter a namespace where all users exist and no further namespace may be made, as in a container."""
    assert ctypes.CDLL(None).unshare(CLONE_NEWUSER) == 0
    os.write(ready, b"x")
    os.read(mapped, 1)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")


def test_root_without_user_namespaces_runs_the_server_as_an_unprivileged_user(open_folder: Path) -> None:
    data_dir = open_folder / "data"
    (ready, tell_ready), (mapped, tell_mapped) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            forbid_user_namespaces(tell_ready, mapped)
            os.setuid(0)
            code = 0 if start_and_tell_owner(data_dir) in unprivileged() else 2
        except Exception:  # noqa: BLE001 - a child must never come back into pytest
            traceback.print_exc()
        finally:
            os._exit(code)
    os.read(ready, 1)
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{child}/{name}").write_text("0 0 65536")
    os.write(tell_mapped, b"x")

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def unprivileged() -> set[int]:
    return {account.pw_uid for account in pwd.getpwall() if account.pw_name in ("postgres", "nobody")}


def test_the_data_of_another_user_is_one_sentence(open_folder: Path) -> None:
    data_dir = open_folder / "data"
    assert start_and_tell_owner(data_dir) == 0

    def step() -> None:
        with pytest.raises(DatabaseUnavailable, match=r"postgres\.lock cannot be opened: Permission denied\.$"):
            start(data_dir)

    assert in_child(become_nobody, step)
