"""The disk store: the parts of this room put together behind the ports."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap, ChunkMapInvalid, ChunkMapper, count
from registry_mesh.content.errors import StoreBroken
from registry_mesh.content.ports import HELD, BlobInfo, FileSlice, Hold, Piece, Provenance
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import ALGORITHMS, Digest
from registry_mesh.oci.errors import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.stores import temporary
from registry_mesh.stores.durability import FsyncPolicy
from registry_mesh.stores.faults import translated
from registry_mesh.stores.hold import DiskHold, open_part
from registry_mesh.stores.hold_file import stated_size
from registry_mesh.stores.ingest import DiskIngest, IncomingFile
from registry_mesh.stores.layout import Layout
from registry_mesh.stores.ledger import Ledger, charge
from registry_mesh.stores.locks import FileLock
from registry_mesh.stores.memory import clip
from registry_mesh.stores.offload import offload
from registry_mesh.stores.open_files import OpenFile, OpenFiles
from registry_mesh.stores.proof import Proofs, signature
from registry_mesh.stores.records import DiskRecords
from registry_mesh.stores.room import Room
from registry_mesh.stores.rot import Rot
from registry_mesh.stores.shelf import Shelf
from registry_mesh.stores.whole_hold import WholeHold

_BATCH: Final = 1_000
_STEP: Final = 8
"""Chunks proven at a time: the next bytes are not long in coming, and a thread is not woken for little."""


@dataclass
class DiskCounts:
    """What happened since this process opened the store."""

    rotten: int = 0
    evictions: int = 0
    evicted_bytes: int = 0


class DiskReading:
    """Implements `content.ports.Reading`, and its own context: a hit neither waits nor wakes a thread."""

    def __init__(self, store: DiskStore, digest: Digest, span: Span | None) -> None:
        self._store = store
        self._digest = digest
        self._asked = span
        self._file: OpenFile
        self.info: BlobInfo
        self.span: Span
        self.address: str | None = None
        self.provenance: Provenance = HELD

    async def __aenter__(self) -> DiskReading:
        self._file = await self._store.open_file(self._digest)
        try:
            self.info = BlobInfo(self._digest, self._file.size)
            self.span = clip(self.info, self._asked)
            first = self.span.start // CHUNK
            if self.span:
                await self._store.prove(self._file, first, first + 1, opening=True)
        except BaseException:
            self._store.files.release(self._file)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._store.files.release(self._file)

    def ready(self, span: Span) -> FileSlice | None:
        """Where the file is unchanged and every chunk of the span was proven before."""
        file = self._file
        status = os.fstat(file.fd)
        proof = file.proof
        if not status.st_nlink or proof.signature != signature(status):
            return None
        if not proof.complete and proof.run(span.start // CHUNK, count(span.stop)) < count(span.stop):
            return None
        return FileSlice(file.fd, span.start, span.stop)

    async def pieces(self) -> AsyncIterator[Piece]:
        """One slice, where all is proven; else a slice after each step of proving."""
        start, stop = self.span.start, self.span.stop
        while start < stop:
            proven = self._file.proof.run(start // CHUNK, count(stop)) * CHUNK
            if proven <= start:
                first = start // CHUNK
                last = min(first + _STEP, count(stop))
                await self._store.prove(self._file, first, last)
                continue
            yield FileSlice(self._file.fd, start, min(stop, proven))
            start = proven


class DiskStore:
    """Implements `content.ports.CacheStore`. Made by `start`."""

    def __init__(self, shelf: Shelf, cache: bool) -> None:
        self._shelf = shelf
        self._layout = shelf.layout
        self._cache = cache
        self._proofs = Proofs(shelf.layout)
        self.files = OpenFiles(shelf.layout, self._proofs)
        self.counts = DiskCounts()
        self._noted: dict[Digest, int] = {}
        self.records = DiskRecords(shelf.layout.records, shelf.layout.tmp, shelf.fsync)

    def __repr__(self) -> str:
        return f"<disk {self._layout.root}: {self.used} bytes>"

    @property
    def used(self) -> int:
        """Bytes stored, by all processes."""
        return self._shelf.room.ledger.used

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
        return await offload(cls._start, Layout(root), quota, evict, fsync)

    @classmethod
    def _start(cls, layout: Layout, quota: int | None, evict: bool, fsync: FsyncPolicy) -> DiskStore:
        with translated(f"opening the store in {layout.root}"):
            for directory in layout.directories():
                fsync.make_directory(directory)
            ledger = Ledger(layout.run / "ledger", quota)
            for room in temporary.sweep(layout.tmp):
                ledger.release(room)
        return cls(Shelf(layout, Room(ledger), fsync), evict)

    async def close(self) -> None:
        self.files.close()
        await offload(self._shelf.room.ledger.close)

    async def stat(self, digest: Digest) -> BlobInfo:
        file = await self.open_file(digest)
        self.files.release(file)
        return BlobInfo(digest, file.size)

    def open(self, digest: Digest, span: Span | None = None) -> DiskReading:
        return DiskReading(self, digest, span)

    async def open_file(self, digest: Digest) -> OpenFile:
        """The blob's file, as long as the blob; `files.release` it. `BlobUnknown`."""
        file = self.files.again(digest)
        if file is None:
            with translated("opening a blob"):
                file = await offload(self.files.open, digest)
        if file is None:
            raise BlobUnknown(digest=str(digest))
        if not file.proof.sized:
            try:
                await self._found(file, await self._read(self._proofs.size_up, file), opening=True)
            except BaseException:
                self.files.release(file)
                raise
        return file

    async def prove(self, file: OpenFile, start: int, stop: int, *, opening: bool = False) -> None:
        """Have chunks [start, stop) read and checked, where they are not proven."""
        if file.proof.run(start, stop) < stop:
            bad = await self._read(self._proofs.prove, file, start, stop)
            await self._found(file, bad, opening=opening)

    async def _read(self, check: Callable[..., int | None], file: OpenFile, *chunks: int) -> int | None:
        with translated("checking a blob"):
            return await offload(check, file.digest, file.fd, file.proof, *chunks)

    async def _found(self, file: OpenFile, bad: int | None, *, opening: bool) -> None:
        """Chunk `bad` has rotted, where it is not None. A cache sets it missing, and has the blob in part only from
        then on (`BlobUnknown` while opening); any other store puts the blob aside (`StoreBroken`)."""
        if bad is None:
            return
        self.counts.rotten += 1
        rot = Rot(self._shelf, BlobInfo(file.digest, file.size), file.fd)
        with translated("taking a rotten blob away"):
            await offload(rot.demote if self._cache else rot.quarantine, bad)
        if opening and self._cache:
            raise BlobUnknown(digest=str(file.digest))
        raise StoreBroken(f"chunk {bad} of {file.digest} has rotted")

    async def chunk_map(self, digest: Digest) -> ChunkMap | None:
        return await offload(self._chunk_map, digest)

    def _chunk_map(self, digest: Digest) -> ChunkMap | None:
        with translated("reading a chunk map"):
            size = self._size(digest)
            if size is None:
                raise BlobUnknown(digest=str(digest))
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

    @asynccontextmanager
    async def hold(self, digest: Digest, size: int) -> AsyncIterator[Hold]:
        with translated("holding a blob"):
            hold = await offload(self._hold, digest, size)
        if hold is None:
            async with self._whole(digest) as whole:
                yield whole
            return
        try:
            yield hold
        finally:
            await hold.close()

    def _hold(self, digest: Digest, size: int) -> DiskHold | None:
        """The partial blob; None where it is complete."""
        with self._shelf.alone(digest):
            if self._shelf.has(BlobInfo(digest, size)):
                return None
            files = open_part(self._shelf, digest, size)
            return DiskHold(files) if files else None

    @asynccontextmanager
    async def _whole(self, digest: Digest) -> AsyncIterator[WholeHold]:
        file = await self.open_file(digest)

        async def prove(index: int) -> bool:
            try:
                await self.prove(file, index, index + 1)
            except StoreBroken:
                return False
            return True

        try:
            yield WholeHold(BlobInfo(digest, file.size), file.fd, prove)
        finally:
            self.files.release(file)

    @asynccontextmanager
    async def lock(self, digest: Digest, purpose: str) -> AsyncIterator[bool]:
        """`purpose` is a word of ours, fit for a file's name."""
        path = self._layout.run / "locks" / f"{purpose}-{digest.hex[:32]}"
        with translated("locking"):
            lock = await offload(FileLock, path)
        try:
            yield lock.mine
        finally:
            await offload(lock.release)

    async def known_size(self, digest: Digest) -> int | None:
        return await offload(self._known_size, digest)

    def _known_size(self, digest: Digest) -> int | None:
        stated = (
            stated_size(path) for path in (self._layout.blob_hold(digest), self._layout.part_hold(digest))
        )
        return next(
            (size for size in stated if size is not None), self._size(digest) or self._noted.get(digest)
        )

    def _size(self, digest: Digest) -> int | None:
        try:
            return self._layout.blob(digest).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    async def note_sizes(self, descriptors: Sequence[Descriptor]) -> None:
        for each in descriptors:
            self._noted[each.digest] = each.size

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
