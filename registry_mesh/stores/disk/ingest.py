"""One blob on its way into a disk store.

Pieces are gathered and written by a thread that also hashes them, one batch behind the caller: at most two
batches and a piece are in memory. The digest and the chunk map come out of the same pass.
"""

from __future__ import annotations

import os
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.chunks.mapper import ChunkMapper
from registry_mesh.oci.digest import Digest, new_hasher
from registry_mesh.oci.refusals import DigestInvalid
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.stores import points
from registry_mesh.stores.disk import temporary
from registry_mesh.stores.disk.shelf import Shelf
from registry_mesh.stores.disk.space.ledger import charge
from registry_mesh.stores.disk.space.room import demand_free
from registry_mesh.stores.faults import translated
from registry_mesh.stores.writing import write_all
from registry_mesh.tasks.threads import offload, settle, submit

BATCH: Final = 1 << 20
"""Bytes gathered before a thread is woken."""

RESERVE: Final = 8 << 20
"""Bytes reserved at a time where the size is not known."""


class IncomingFile:
    """The temporary file of one ingest. In a thread, one call at a time."""

    def __init__(self, shelf: Shelf, algorithm: str, size: int | None) -> None:
        self._shelf = shelf
        self._algorithm = algorithm
        self._hasher = new_hasher(algorithm)
        self._mapper = ChunkMapper()
        self._written = 0
        self._reserved = 0
        if size and shelf.room.evict is None:
            demand_free(shelf.layout.root, size)
        self._fd, self._path = self._create()
        if size:
            try:
                self._reserve(size)
            except BaseException:
                self.abort()
                raise

    def _create(self) -> tuple[int, Path]:
        try:
            return temporary.create(self._shelf.layout.tmp)
        except FileNotFoundError:  # the store's directory vanished and may be back
            for directory in self._shelf.layout.directories():
                self._shelf.fsync.make_directory(directory)
            return temporary.create(self._shelf.layout.tmp)

    def _reserve(self, size: int) -> None:
        """Have room for `size` bytes in all; the file's length says what is reserved (see `temporary`)."""
        if size > self._reserved:
            room = charge(size)
            self._shelf.room.take(room - self._reserved)
            points.reach("ingest.reserved")
            os.ftruncate(self._fd, room)
            self._reserved = room

    def write(self, pieces: list[bytes]) -> None:
        """Append to the file and to its sums. `StoreFull`, OSError."""
        length = sum(map(len, pieces))
        if self._written + length > self._reserved:
            self._reserve_ahead(self._written + length)
        points.reach("ingest.write")
        self._shelf.room.on_disk(length, lambda: write_all(self._fd, pieces, self._written))
        for piece in pieces:
            self._hasher.update(piece)
            self._mapper.update(piece)
        self._written += length

    def _reserve_ahead(self, size: int) -> None:
        room = self._shelf.room
        if self._reserved and room.ledger.reserve(RESERVE):  # ahead only while there is plenty
            room.ledger.release(RESERVE)
            size += RESERVE
        self._reserve(size)

    def finish(self, expected: list[Digest]) -> BlobInfo:
        digest = Digest(self._algorithm, self._hasher.hexdigest())
        for wanted in expected:
            if wanted != digest:
                raise DigestInvalid(given=str(wanted), computed=str(digest))
        points.reach("ingest.trim")
        os.ftruncate(self._fd, self._written)
        self._shelf.room.give(self._reserved - charge(self._written))
        self._reserved = charge(self._written)
        points.reach("ingest.sync")
        self._shelf.fsync.sync_data(self._fd)
        self._place(digest, self._mapper.finish())
        return BlobInfo(digest, self._written)

    def _place(self, digest: Digest, chunk_map: ChunkMap) -> None:
        if self._shelf.shelve(digest, self._path, self._written, chunk_map):
            self._reserved = 0  # it is the blob's now

    def abort(self) -> None:
        """Close; remove what has not become a blob."""
        points.reach("ingest.abort")
        self._path.unlink(missing_ok=True)
        os.close(self._fd)
        self._shelf.room.give(self._reserved)
        self._reserved = 0


class DiskIngest:
    """Implements `ports.blobs.Ingest`."""

    def __init__(self, file: IncomingFile, expected: Digest | None) -> None:
        self._file = file
        self._expected = [expected] if expected else []
        self._gathered: list[bytes] = []
        self._gathered_size = 0
        self._running: Future[None] | None = None
        self.offset = 0

    async def write(self, data: bytes) -> None:
        self._gathered.append(data)
        self._gathered_size += len(data)
        self.offset += len(data)
        if self._gathered_size >= BATCH:
            await self._settle()
            self._running = submit(self._write, self._gathered)
            self._gathered, self._gathered_size = [], 0

    def _write(self, pieces: list[bytes]) -> None:
        with translated("writing a blob"):
            self._file.write(pieces)

    async def _settle(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            await settle(running)

    async def commit(self, expected: Digest | None = None) -> BlobInfo:
        await self._settle()
        return await offload(self._commit, [*self._expected, *([expected] if expected else [])])

    def _commit(self, expected: list[Digest]) -> BlobInfo:
        with translated("committing a blob"):
            if self._gathered:
                self._file.write(self._gathered)
            return self._file.finish(expected)

    async def leave(self) -> None:
        """The end, whether committed or not."""
        if self._running is not None:
            await settle(submit(_wait, self._running))
        with translated("leaving an ingest"):
            await offload(self._file.abort)


def _wait(future: Future[None]) -> None:
    future.exception()
