"""Blobs on a disk."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import islice
from pathlib import Path

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap, ChunkMapInvalid, ChunkMapper
from registry_mesh.content.ports import HELD, BlobInfo, FileSlice, Piece, Provenance
from registry_mesh.oci.digest import ALGORITHMS, Digest
from registry_mesh.oci.errors import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.stores import temporary
from registry_mesh.stores.durability import FsyncPolicy
from registry_mesh.stores.faults import translated
from registry_mesh.stores.ingest import DiskIngest, IncomingFile
from registry_mesh.stores.layout import Layout
from registry_mesh.stores.ledger import Ledger, charge
from registry_mesh.stores.memory import clip
from registry_mesh.stores.offload import offload
from registry_mesh.stores.records import DiskRecords
from registry_mesh.stores.room import Room
from registry_mesh.stores.shelf import Shelf

_BATCH = 1_000


class _Reading:
    """Implements `content.ports.Reading`."""

    def __init__(self, fd: int, info: BlobInfo, span: Span) -> None:
        self._fd = fd
        self.info = info
        self.span = span
        self.address: str | None = None
        self.provenance: Provenance = HELD

    async def pieces(self) -> AsyncIterator[Piece]:
        if self.span:
            yield FileSlice(self._fd, self.span.start, self.span.stop)


class DiskStore:
    """Implements `content.ports.BlobStore`. Made by `start`."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._layout = shelf.layout
        self.records = DiskRecords(shelf.layout.records, shelf.layout.tmp, shelf.fsync)

    def __repr__(self) -> str:
        return f"<disk {self._layout.root}: {self._shelf.room.ledger.used} bytes>"

    @classmethod
    async def start(
        cls,
        root: Path,
        *,
        quota: int | None = None,
        evict: bool = False,
        fsync: FsyncPolicy = FsyncPolicy.COMMIT,
        clock: Callable[[], float] = time.time,
    ) -> DiskStore:
        """The store below `root`, made where there is none. `quota` is in bytes; `evict`: it is a cache, and
        drops what was not used for longest instead of being full. `StoreBroken`."""
        return await offload(cls._start, Layout(root), quota, fsync)

    @classmethod
    def _start(cls, layout: Layout, quota: int | None, fsync: FsyncPolicy) -> DiskStore:
        with translated(f"opening the store in {layout.root}"):
            for directory in layout.directories():
                fsync.make_directory(directory)
            ledger = Ledger(layout.run / "ledger", quota)
            for room in temporary.sweep(layout.tmp):
                ledger.release(room)
        return cls(Shelf(layout, Room(ledger), fsync))

    async def close(self) -> None:
        await offload(self._shelf.room.ledger.close)

    async def stat(self, digest: Digest) -> BlobInfo:
        return await offload(self._stat, digest)

    def _stat(self, digest: Digest) -> BlobInfo:
        with translated("looking for a blob"):
            try:
                return BlobInfo(digest, self._layout.blob(digest).stat().st_size)
            except (FileNotFoundError, NotADirectoryError):
                raise BlobUnknown(digest=str(digest)) from None

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[_Reading]:
        fd = await offload(self._open, digest)
        try:
            info = BlobInfo(digest, os.fstat(fd).st_size)
            yield _Reading(fd, info, clip(info, span))
        finally:
            os.close(fd)

    def _open(self, digest: Digest) -> int:
        with translated("opening a blob"):
            try:
                return os.open(self._layout.blob(digest), os.O_RDONLY | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError):
                raise BlobUnknown(digest=str(digest)) from None

    async def chunk_map(self, digest: Digest) -> ChunkMap | None:
        return await offload(self._chunk_map, digest)

    def _chunk_map(self, digest: Digest) -> ChunkMap | None:
        size = self._stat(digest).size
        with translated("reading a chunk map"):
            if size <= CHUNK:  # not worth a file
                mapper = ChunkMapper()
                mapper.update(self._layout.blob(digest).read_bytes())
                return mapper.finish()
            try:
                return ChunkMap.decode(self._layout.blob_chunks(digest).read_bytes(), size)
            except (FileNotFoundError, ChunkMapInvalid):
                return None

    @asynccontextmanager
    async def ingest(
        self, expected: Digest | None = None, size: int | None = None, algorithm: str = "sha256"
    ) -> AsyncIterator[DiskIngest]:
        algorithm = expected.algorithm if expected else algorithm
        with translated("beginning a blob"):
            ingest = DiskIngest(await offload(IncomingFile, self._shelf, algorithm, size), expected)
        try:
            yield ingest
        finally:
            await ingest.leave()

    async def adopt(self, path: Path, digest: Digest, size: int, chunk_map: ChunkMap) -> BlobInfo:
        """Make the finished, synced file at `path`, on the store's file system, the blob; it is renamed or removed.

        The caller has checked its digest. `StoreFull`, `StoreBroken`."""
        return await offload(self._adopt, path, digest, size, chunk_map)

    def _adopt(self, path: Path, digest: Digest, size: int, chunk_map: ChunkMap) -> BlobInfo:
        with translated("adopting a file"):
            self._shelf.room.take(charge(size))
            if not self._shelf.place(digest, path, size, chunk_map):
                self._shelf.room.give(charge(size))
                path.unlink(missing_ok=True)
        return BlobInfo(digest, size)

    async def delete(self, digest: Digest) -> None:
        with translated("deleting a blob"):
            if not await offload(self._shelf.remove, digest):
                raise BlobUnknown(digest=str(digest))

    async def blobs(self) -> AsyncIterator[BlobInfo]:
        found = self._scan()
        while batch := await offload(lambda: list(islice(found, _BATCH))):
            for info in batch:
                yield info

    def _scan(self) -> Iterator[BlobInfo]:
        with translated("listing blobs"):
            for algorithm in ALGORITHMS:
                for board in _scandir(self._layout.blobs / algorithm):
                    for entry in _scandir(Path(board.path)):
                        if "." not in entry.name:
                            with suppress(FileNotFoundError):
                                yield BlobInfo(Digest(algorithm, entry.name), entry.stat().st_size)


def _scandir(directory: Path) -> Iterator[os.DirEntry[str]]:
    try:
        scan = os.scandir(directory)
    except FileNotFoundError:
        return
    with scan:
        yield from scan
