"""How much of its file system a cache may take.

Without a quota a cache grows until the file system is full up to the high mark, by whatever files, and gives way when
others take more: what they leave it is shared with them half and half, and never taken to the last byte. With a quota
it only keeps from filling the file system.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HIGH: Final = 0.9
"""Of the file system: the high mark of a cache without a quota. A step of eviction ends at the low mark, a hundredth of
what the cache may take below (`stores.disk.evict.LOW`)."""

SPARE: Final = 1 / 64
SPARE_LIMIT: Final = 1 << 30
"""Of the file system, and in bytes: what a cache with a quota leaves free."""


@dataclass(frozen=True, slots=True)
class FileSystem:
    """Bytes of a file system, and those that we may still write."""

    size: int
    free: int


def file_system(directory: Path) -> FileSystem:
    """That of `directory`. Raises `OSError`."""
    status = os.statvfs(directory)
    return FileSystem(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)


def share(disk: FileSystem, used: int, *, quota: bool) -> int:
    """Bytes that a cache which takes `used` of `disk` may take there, with a quota or without."""
    left = used + disk.free
    spare = min(int(disk.size * SPARE), SPARE_LIMIT) if quota else int(disk.size * (1 - HIGH))
    return max(left - spare, left // 2)
