"""Processes whose system clock is wrong: libfaketime answers them in the place of the kernel."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

INSTALL = "apt-get install -y faketime"
_WRONG_BY_S = 3 * 3600


def find_faketime() -> Path | None:
    """The library to preload; Debian puts it below the folder of the machine's architecture."""
    return next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


def ahead(library: Path) -> dict[str, str]:
    """Environment of a process whose clock is three hours ahead."""
    return _preloading(library) | {"FAKETIME": f"+{_WRONG_BY_S}"}


@dataclass(slots=True)
class JumpingClock:
    """A clock that somebody keeps setting: three hours back, three hours ahead, back again."""

    library: Path
    file: Path
    _offsets: itertools.cycle[int] = field(default_factory=lambda: itertools.cycle((-_WRONG_BY_S, _WRONG_BY_S)))

    def jump(self) -> None:
        """Set it; processes see it within a second."""
        self.file.write_text(f"{next(self._offsets):+d}\n")

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a process that has this clock."""
        return _preloading(self.library) | {"FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_CACHE_DURATION": "1"}


def error_s(environment: Mapping[str, str], true_time: float) -> float:
    """How wrong the clock of a process with this environment is, in seconds."""
    command = [sys.executable, "-c", "import time; print(time.time())"]
    answer = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=True)
    return float(answer.stdout) - true_time


def _preloading(library: Path) -> dict[str, str]:
    # a clock set wrong does not disturb the monotonic one, by which processes wait
    return {"LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
