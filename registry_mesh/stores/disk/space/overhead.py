"""What a store takes beside its blobs: the index, its log, records. Looked at, as it is not counted file by file.

A cache keeps it out of what blobs may take, so that all of the store is within the quota.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from registry_mesh.stores.disk.layout import Layout
from registry_mesh.stores.disk.space.ledger import PAGE
from registry_mesh.stores.disk.space.share import file_system, share

LEAST: Final = 1 / 64
LEAST_LIMIT: Final = 64 << 20
"""Of the quota, and in bytes: kept free however little the rest takes, for what comes between two looks."""

MOST: Final = 1 / 8
"""Of the quota: a cache must cache, whatever its index weighs."""

LOG: Final = 4 << 20
"""Bytes of the index's log that are always left room for."""

GROWTH: Final = 2 << 20
"""Bytes by which that log may grow between two looks: it is emptied at 2 MiB, but not while somebody reads it."""

RECORDS_EVERY: Final = 300.0
"""Seconds. A record is a file: counting a hundred thousand takes a fifth of a second."""


class Overhead:
    """Of one cache. In threads. `quota` None: it keeps to a share of its file system."""

    def __init__(
        self, layout: Layout, quota: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._layout = layout
        self._quota = quota
        self._clock = clock
        self._records = 0
        self._counted = -RECORDS_EVERY

    def limit(self, used: int) -> int:
        """Bytes that blobs, which take `used`, may take now."""
        left = self.on_disk(used)
        if self._quota is None:
            return left  # what the rest takes is not free either
        least = min(int(self._quota * LEAST), LEAST_LIMIT)
        return min(left, self._quota - max(least, min(self._taken(), int(self._quota * MOST))))

    def on_disk(self, used: int) -> int:
        """`limit` as the file system alone would have it."""
        return share(file_system(self._layout.root), used, quota=self._quota is not None)

    def _taken(self) -> int:
        index = self._layout.index
        log, shared = (index.with_name(index.name + end) for end in ("-wal", "-shm"))
        if self._clock() - self._counted >= RECORDS_EVERY:
            self._counted = self._clock()
            self._records = PAGE * _entries(self._layout.records)
        return _size(index) + max(LOG, _size(log) + GROWTH) + _size(shared) + self._records


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _entries(directory: Path) -> int:
    """Files and directories below; each takes a page, as records are small."""
    found = 0
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            found += 1
            if entry.is_dir(follow_symlinks=False):
                found += _entries(Path(entry.path))
    return found
