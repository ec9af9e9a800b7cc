"""Makes room in a cache: what is of least use goes first (`stores.disk.index.rank`).

A step frees what is wanted and a little more, up to the low mark, and never more than a small part of the quota
beyond what is wanted. A small complete blob goes whole; of a large or a partial one chunks go, from its end, because
readers begin at the front. What anybody has open is spared, and so is what the kernel still has to send.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.partial import ChunkState
from registry_mesh.stores import points
from registry_mesh.stores.disk import page_cache
from registry_mesh.stores.disk.index import evicted, uses
from registry_mesh.stores.disk.index.index import Row
from registry_mesh.stores.disk.locks import try_flock
from registry_mesh.stores.disk.open_files import OpenFiles
from registry_mesh.stores.disk.part_files import PartFiles, open_part
from registry_mesh.stores.disk.rot import Rot
from registry_mesh.stores.disk.shelf import Shelf

LOW: Final = 0.99
"""Of the limit: where a step stops."""

LARGE: Final = 0.01
"""Of the limit: a complete blob of more is evicted by chunks."""

_LOOK: Final = 8 * MIB // CHUNK
"""Chunks of a blob that are asked to leave the memory at once."""

_BATCH: Final = 32
_SPARED: Final = 1_024
"""Blobs in use that a step passes before it gives up."""


class Evictor:
    """Called by `Room` in a thread. `flush` tells the index of the last uses in this process."""

    def __init__(self, shelf: Shelf, files: OpenFiles, flush: Callable[[], None]) -> None:
        self._shelf = shelf
        self._files = files
        self._flush = flush
        self._lock = threading.Lock()
        self.evictions = 0
        self.evicted_bytes = 0

    def __call__(self, wanted: int) -> bool:
        """Free room for `wanted` bytes; False where nothing could be freed."""
        with self._lock:
            ledger = self._shelf.room.ledger
            limit = ledger.limit or 0
            goal = ledger.used + wanted - int(limit * LOW)
            if ledger.used + wanted <= limit:  # another thread or process has been here
                return True
            freed = self._step(goal)
            self.evicted_bytes += freed
            return freed > 0

    def free(self, wanted: int) -> bool:
        """Free `wanted` bytes on the disk, which is full though the limit is not reached; False where nothing could be
        freed."""
        with self._lock:
            freed = self._step(wanted)
            self.evicted_bytes += freed
            return freed > 0

    def _step(self, goal: int) -> int:
        freed = spared = 0
        self._flush()
        after: Row | None = None
        while freed < goal and spared < _SPARED:
            rows = self._shelf.index.least_used(_BATCH, after)
            for row in rows:
                idle = self._idle(row)
                gone = self.shrink(row, goal - freed)
                if gone:
                    evicted.note(self._shelf.index, row.digest, gone, self._shelf.clock(), idle)
                freed += gone
                spared += not gone
                if freed >= goal:
                    break
            if not rows and after is None:
                break
            after = rows[-1] if rows else None  # from the lowest again: what was in use may be free by now
        self._shelf.note_gone(freed)
        return freed

    def _idle(self, row: Row) -> int:
        """Seconds since the blob was used, or since uses are noted."""
        known = uses.last(self._shelf.index, [row.digest])
        at = known.last.get(row.digest, known.began)
        return max(1, int(self._shelf.clock() - at)) if at else 0

    def shrink(self, row: Row, goal: int) -> int:
        """Bytes freed of one blob; 0 where it is in use."""
        if not self._files.let_go(row.digest):
            return 0
        with suppress(OSError, Failure), self._shelf.alone_now(row.digest) as alone:
            if alone:
                return self._evict_alone(row, goal)
        return 0

    def _evict_alone(self, row: Row, goal: int) -> int:
        try:
            fd = os.open(self._shelf.layout.blob(row.digest), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return self._evict_part(row, goal)
        try:
            if not try_flock(fd, shared=False):
                return 0
            if row.size > (self._shelf.room.ledger.limit or 0) * LARGE and goal < row.held:
                rot = Rot(self._shelf, BlobInfo(row.digest, row.size), fd)
                if rot.make_partial():
                    os.close(fd)
                    fd = -1
                    return self._evict_part(row, goal)
            points.reach("evict.whole")
            self.evictions += 1
            return self._shelf.remove_alone(row.digest, fd) or 0
        finally:
            if fd >= 0:
                os.close(fd)

    def _evict_part(self, row: Row, goal: int) -> int:
        files = open_part(self._shelf, row.digest, None)
        if files is None:
            self._shelf.index.forget(row.digest)
            return 0
        try:
            if not try_flock(files.fd, shared=False):
                return 0
            self.evictions += 1
            return self._punch(files, goal)
        finally:
            files.close()

    def _punch(self, files: PartFiles, goal: int) -> int:
        """Chunks from the end on; the blob as a whole where none stays, or all are still on their way to clients."""
        freed = 0
        for index in _chunks_to_go(files):
            points.reach("evict.chunk")
            files.table.set_state(index, ChunkState.MISSING)
            files.table.set_synced(index, False)
            files.give_back(index)
            freed += 0 if files.table.reserved(index) else files.room(index)
            if freed >= goal:
                break
        if not freed or not any(files.table.reservations()):
            freed += files.reserved()
            files.drop()
        else:
            files.index_exactly()
        return freed


def _chunks_to_go(files: PartFiles) -> Iterator[int]:
    """Those that are held, from the last on, but for those that a socket's queue may still refer to
    (`stores.disk.page_cache`). A file system that lives in memory (tmpfs) lets go of none."""
    reserved = files.table.reservations()
    stop = files.table.chunks
    while stop > 0:
        start = max(0, stop - _LOOK)
        if any(reserved[start:stop]):
            begin, end = start * CHUNK, min(files.info.size, stop * CHUNK)
            left = page_cache.leave(files.fd, begin, end, files.info.size)
            pages = CHUNK // mmap.PAGESIZE
            for index in range(stop - 1, start - 1, -1):
                at = (index - start) * pages
                if reserved[index] and not any(page & 1 for page in left[at : at + pages]):
                    yield index
        stop = start
