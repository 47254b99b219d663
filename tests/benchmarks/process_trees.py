"""CPU time and memory of whole process trees, read from /proc: what `top` shows misses children that have ended."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_MIB_OF_KIB = 1 / 1024


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """Some processes and all their descendants, whoever of them lives at the moment of asking."""

    roots: tuple[int, ...]

    def cpu_seconds(self) -> float:
        """User and system time so far, with that of children already reaped (proc(5), fields 14-17)."""
        return sum(sum(_cpu_ticks(pid)) for pid in self._pids()) / _TICKS_PER_S

    def peak_memory_mib(self) -> float:
        """Largest resident set any one process of the tree ever had (VmHWM)."""
        return max(map(_peak_kib, self._pids()), default=0) * _MIB_OF_KIB

    def _pids(self) -> list[int]:
        children = _children()
        found, waiting = [], list(self.roots)
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += children[pid]
        return found


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := _stat_fields(int(entry.name))):
            children[int(fields[1])].append(int(entry.name))
    return children


def _stat_fields(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the third on; empty when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _cpu_ticks(pid: int) -> tuple[int, ...]:
    return tuple(map(int, _stat_fields(pid)[11:15]))


def _peak_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)
