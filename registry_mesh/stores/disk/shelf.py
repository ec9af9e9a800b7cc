"""The shelf: where complete blobs stand. Every change to one is made alone, under the lock of its shelf board
(the first two hex digits), in an order that leaves the old state or the new."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap
from registry_mesh.chunks.map_format import encode
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.stores import points
from registry_mesh.stores.disk import temporary
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.index import evicted, uses
from registry_mesh.stores.disk.index.database import key_of
from registry_mesh.stores.disk.index.index import Index, Row, RowState
from registry_mesh.stores.disk.layout import Layout
from registry_mesh.stores.disk.locks import locked, try_locked
from registry_mesh.stores.disk.space.ledger import PAGE, charge
from registry_mesh.stores.disk.space.room import Room

WEEK: Final = 7 * 86400.0
_GONE: Final = "gone"
_TURNOVER: Final = 10**12
"""Of the fact `_GONE`: kept in turnovers and not in bytes, so that a new quota does not change what was."""


class Shelf:
    """Complete blobs below `layout`."""

    def __init__(
        self, layout: Layout, room: Room, index: Index, fsync: DiskFsync, clock: Callable[[], float]
    ) -> None:
        self.layout = layout
        self.room = room
        self.index = index
        self.fsync = fsync
        self.clock = clock
        self.refetched_bytes = 0
        """Brought again within a week of being evicted."""

    def alone(self, digest: Digest) -> AbstractContextManager[None]:
        """Be the only one to change what is there of `digest`, among all processes."""
        return locked(self._board(digest))

    def alone_now(self, digest: Digest) -> AbstractContextManager[bool]:
        """`alone` without waiting, for a caller that may be alone with something else already."""
        return try_locked(self._board(digest))

    def _board(self, digest: Digest) -> Path:
        return self.layout.run / "locks" / f"shelf-{digest.hex[:2]}"

    def turnovers(self) -> float:
        """What ever came into a cache, in quotas: what went, and what is there. 0 where there is no limit."""
        ledger = self.room.ledger
        return self.index.fact(_GONE) / _TURNOVER + ledger.used / ledger.limit if ledger.limit else 0.0

    def note_gone(self, freed: int) -> None:
        """Bytes were evicted."""
        if self.room.ledger.limit:
            self.index.add_fact(_GONE, int(freed / self.room.ledger.limit * _TURNOVER))

    def enter(self, digest: Digest, size: int, held: int, state: RowState) -> None:
        """Write the blob's row in the index; a new one is used just now."""
        self.index.put(Row(digest, size, held, state), self.turnovers())

    def enter_complete(self, digest: Digest, size: int) -> None:
        """Write the row of a blob that stands there."""
        beside = (self.layout.blob_chunks(digest), self.layout.blob_hold(digest))
        held = charge(size) + sum(charge(_size(path) or 0) for path in beside)
        self.enter(digest, size, held, RowState.COMPLETE)
        uses.note(self.index, [key_of(digest)], self.clock())
        if self.room.evict is not None:
            self.refetched_bytes += evicted.came_back(self.index, digest, self.clock() - WEEK)

    def has(self, info: BlobInfo) -> bool:
        """Whether a complete blob of that length stands there."""
        return _size(self.layout.blob(info.digest)) == info.size

    def shelve(self, digest: Digest, source: Path, size: int, chunk_map: ChunkMap | None) -> bool:
        """Make the finished, synced file `source`, whose room is reserved, the blob. False where the blob is
        there already; `source` is left then."""
        with self.alone(digest):
            target = self.layout.blob(digest)
            before = _size(target)
            if before == size:
                return False
            self.enter(digest, size, charge(size), RowState.PENDING)
            self.make_board(target)
            if chunk_map is not None and size > CHUNK:
                self.put_chunk_map(digest, chunk_map)
            points.reach("shelf.name")
            source.replace(target)
            points.reach("shelf.sync_entry")
            self.fsync.sync_entry(target.parent)
            if before is not None:  # what stood there was cut short
                self.room.give(charge(before))
            points.reach("shelf.enter")
            self.enter_complete(digest, size)
            return True

    def put_chunk_map(self, digest: Digest, chunk_map: ChunkMap) -> None:
        """Put the chunk map beside the blob, before it or after."""
        data, target = encode(chunk_map, digest), self.layout.blob_chunks(digest)
        room = charge(len(data)) if _size(target) is None else 0
        self.room.take(room)

        def put() -> None:
            with self.written(data) as source:
                points.reach("shelf.chunk_map")
                source.replace(target)

        try:
            self.room.on_disk(charge(len(data)), put)
        except OSError:
            self.room.give(room)
            raise

    def make_board(self, file: Path) -> None:
        """Make the directory that `file` is to stand in."""
        self.room.on_disk(PAGE, lambda: self.fsync.make_directory(file.parent))

    @contextmanager
    def written(self, data: bytes) -> Iterator[Path]:
        """A temporary file with `data`, synced; gone at the end where it was not renamed."""
        fd, path = temporary.create(self.layout.tmp)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                self.fsync.sync_data(file.fileno())
                yield path
        finally:
            path.unlink(missing_ok=True)

    def remove(self, digest: Digest) -> bool:
        """Take the blob off; False where it is not there. Readers that have it open read on."""
        with self.alone(digest):
            return self.remove_alone(digest) is not None

    def remove_alone(self, digest: Digest, fd: int | None = None) -> int | None:
        """`remove`, by a caller that is alone already; gives the bytes freed. `fd`: the blob's file, open here
        alone."""
        target = self.layout.blob(digest)
        size = _size(target)
        if size is not None:
            self.enter(digest, size, charge(size), RowState.PENDING)
        points.reach("shelf.remove")
        target.unlink(missing_ok=True)
        if fd is not None:
            os.ftruncate(fd, 0)  # it takes room as long as it is open
        freed = self.remove_beside(digest)
        if size is not None:
            self.fsync.sync_entry(target.parent)
            self.room.give(charge(size))
        points.reach("shelf.forget")
        self.index.forget(digest)
        return None if size is None else freed + charge(size)

    def remove_beside(self, digest: Digest) -> int:
        """Remove what stands beside a blob; gives the bytes freed."""
        freed = 0
        for beside in (self.layout.blob_chunks(digest), self.layout.blob_hold(digest)):
            points.reach("shelf.remove_beside")
            length = _size(beside)
            if length is not None:
                beside.unlink(missing_ok=True)
                freed += charge(length)
        self.room.give(freed)
        return freed


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None
