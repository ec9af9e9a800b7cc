"""The shelf: where complete blobs stand. Every change to one is made alone, under the lock of its shelf board
(the first two hex digits), in an order that leaves the old state or the new."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap
from registry_mesh.content.ports import BlobInfo
from registry_mesh.oci.digest import Digest
from registry_mesh.stores import points, temporary
from registry_mesh.stores.durability import FsyncPolicy
from registry_mesh.stores.layout import Layout
from registry_mesh.stores.ledger import charge
from registry_mesh.stores.locks import held
from registry_mesh.stores.room import Room


class Shelf:
    """Complete blobs below `layout`."""

    def __init__(self, layout: Layout, room: Room, fsync: FsyncPolicy) -> None:
        self.layout = layout
        self.room = room
        self.fsync = fsync

    def alone(self, digest: Digest) -> AbstractContextManager[None]:
        """Be the only one to change what is there of `digest`, among all processes."""
        return held(self.layout.run / "locks" / f"shelf-{digest.hex[:2]}")

    def has(self, info: BlobInfo) -> bool:
        """Whether a complete blob of that length stands there."""
        return _size(self.layout.blob(info.digest)) == info.size

    def place(self, digest: Digest, source: Path, size: int, chunk_map: ChunkMap | None) -> bool:
        """Make the finished, synced file `source`, whose room is reserved, the blob. False where the blob is
        there already; `source` is left then."""
        with self.alone(digest):
            target = self.layout.blob(digest)
            before = _size(target)
            if before == size:
                return False
            self.fsync.make_directory(target.parent)
            if chunk_map is not None and size > CHUNK:
                self.put_chunk_map(digest, chunk_map)
            points.reach("shelf.name")
            source.replace(target)
            points.reach("shelf.sync_entry")
            self.fsync.sync_entry(target.parent)
            if before is not None:  # what stood there was cut short
                self.room.give(charge(before))
            return True

    def put_chunk_map(self, digest: Digest, chunk_map: ChunkMap) -> None:
        """Put the chunk map beside the blob, before it or after."""
        data, target = chunk_map.encode(), self.layout.blob_chunks(digest)
        if _size(target) is None:
            self.room.take(charge(len(data)))
        with self.written(data) as source:
            points.reach("shelf.chunk_map")
            source.replace(target)

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
        """Take the blob off; False where it is not there. Whoever has it open reads on."""
        with self.alone(digest):
            return self.remove_alone(digest)

    def remove_alone(self, digest: Digest) -> bool:
        """`remove`, by who is alone already."""
        target = self.layout.blob(digest)
        size = _size(target)
        points.reach("shelf.remove")
        target.unlink(missing_ok=True)
        self.remove_beside(digest)
        if size is None:
            return False
        self.fsync.sync_entry(target.parent)
        self.room.give(charge(size))
        return True

    def remove_beside(self, digest: Digest) -> None:
        """Remove what stands beside a blob."""
        for beside in (self.layout.blob_chunks(digest), self.layout.blob_hold(digest)):
            points.reach("shelf.remove_beside")
            length = _size(beside)
            if length is not None:
                beside.unlink(missing_ok=True)
                self.room.give(charge(length))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None
