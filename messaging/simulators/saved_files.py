"""Files of the data directory that are made once and then kept: keys, certificates, ports."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def simulator_dir(data_dir: str | Path) -> Path:
    """Return the folder of the simulators inside a data directory, made if missing and closed to others."""
    folder = Path(data_dir) / "simulators"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def read_or_make(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return the file's bytes; the first caller makes them (mode 0600), everybody gets the same."""
    if not path.exists():
        _write_unless_present(path, make())
    return path.read_bytes()


def _write_unless_present(path: Path, content: bytes) -> None:
    # link() refuses an existing name: of two processes starting at once, one wins and both read its file, complete.
    temporary = _temporary_beside(path, content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def replace(path: Path, content: bytes) -> None:
    """Write a file anew; readers see the old bytes or the new ones, never a part."""
    _temporary_beside(path, content).replace(path)


def _temporary_beside(path: Path, content: bytes) -> Path:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return Path(name)
