"""How much memory this node may use and uses, and how busy the disk of its store is: as the kernel tells."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from registry_mesh.findings.facts import DiskFacts, MemoryFacts

_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")
_NONE: Final = 1 << 50
"""Bytes from which on a limit is none: version 1 says so with a number of its own."""
_WINDOW: Final = 60.0
"""Seconds that a disk is looked at over."""


def memory(cgroups: Path = _CGROUPS, own: Path = _OWN) -> MemoryFacts:
    """What the narrowest control group around this process may use, and uses without what the kernel would give back
    (cgroups(7), versions 1 and 2); nothing where there is no limit."""
    found = MemoryFacts()
    with suppress(OSError, ValueError):
        for line in own.read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds == "":
                root, files = cgroups, ("memory.max", "memory.current", "inactive_file")
            elif "memory" in kinds.split(","):
                root = cgroups / "memory"
                files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            else:
                continue
            folder = root / path.strip("/")
            for each in (folder, *folder.parents):
                known = _of_group(each, *files)
                if known.limit and (not found.limit or known.limit < found.limit):
                    found = known
                if each == root:
                    break
    return found


def _of_group(folder: Path, limit: str, used: str, given_back: str) -> MemoryFacts:
    try:
        most, now = (folder / limit).read_text().strip(), int((folder / used).read_text())
        if most == "max" or int(most) >= _NONE:
            return MemoryFacts()
        rows = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        cache = next((int(value) for name, value in rows if name == given_back), 0)
    except (OSError, ValueError):
        return MemoryFacts()
    return MemoryFacts(max(0, now - cache), int(most))


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    reads: int
    reading_ms: int
    busy_ms: int


class DiskLooks:
    """Of the disk under `folder`, over the last minute. `devices`: where the kernel tells of each (Documentation/block/
    stat.rst)."""

    def __init__(self, devices: Path = Path("/sys/dev/block")) -> None:
        self._devices = devices
        self._looks: deque[_Look] = deque()
        self._device = -1

    def look(self, folder: str | None, now: float) -> DiskFacts:
        """Look at `now`, on any clock of seconds; nothing for a folder on no disk of this machine."""
        device, look = -1, None
        if folder is None:
            return DiskFacts()
        with suppress(OSError, ValueError):
            device = Path(folder).stat().st_dev
            name = f"{os.major(device)}:{os.minor(device)}"
            fields = [int(each) for each in (self._devices / name / "stat").read_text().split()]
            look = _Look(now, fields[0], fields[3], fields[9])
        if look is None or device != self._device:
            self._looks.clear()
            self._device = device
        if look is None:
            return DiskFacts()
        self._looks.append(look)
        while len(self._looks) > 2 and self._looks[1].at <= now - _WINDOW:
            self._looks.popleft()
        return _between(self._looks[0], look, (self._devices / name).resolve().name)


def _between(first: _Look, last: _Look, device: str) -> DiskFacts:
    seconds, reads = last.at - first.at, last.reads - first.reads
    if seconds <= 0 or reads < 0:
        return DiskFacts(device)
    busy = min(1.0, (last.busy_ms - first.busy_ms) / 1000 / seconds)
    each = (last.reading_ms - first.reading_ms) / 1000 / reads if reads else 0.0
    return DiskFacts(device, reads, each, busy, seconds)
