"""What the processes of a node take of the machine, as /proc tells (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Of several processes together; `cpu` is in seconds and never falls, whichever process ends meanwhile."""

    cpu: float
    resident: int
    files: int


@dataclass(slots=True)
class Processes:
    """Remembers what ended processes used."""

    _ended: float = 0.0
    _seen: dict[int, float] = field(default_factory=dict)

    def usage(self, pids: Iterable[int]) -> Usage:
        """Of those that run now, and of all that were asked for before."""
        resident = files = 0
        running: dict[int, float] = {}
        for pid in {*pids} - {0}:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                files += len(os.listdir(f"/proc/{pid}/fd"))
            except OSError:
                continue  # it has ended
            running[pid] = (int(fields[11]) + int(fields[12])) / _TICKS
            resident += int(fields[21]) * _PAGE
        self._ended += sum(cpu for pid, cpu in self._seen.items() if pid not in running)
        self._seen = running
        return Usage(self._ended + sum(running.values()), resident, files)
