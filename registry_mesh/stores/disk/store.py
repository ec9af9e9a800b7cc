"""The disk store: the parts of this room put together behind the ports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap
from registry_mesh.chunks.mapper import ChunkMapper
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.ports.cache import SaidSize
from registry_mesh.ports.partial import Hold
from registry_mesh.ports.place import Place
from registry_mesh.ports.storage import DiskCounts
from registry_mesh.stores.disk import rebuild, temporary
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.evict import Evictor
from registry_mesh.stores.disk.hold_file import stated_size
from registry_mesh.stores.disk.holdings import DiskHoldings
from registry_mesh.stores.disk.holds import Holds
from registry_mesh.stores.disk.index import names, said
from registry_mesh.stores.disk.index.index import Index
from registry_mesh.stores.disk.ingest import DiskIngest, IncomingFile
from registry_mesh.stores.disk.inspection import Inspection
from registry_mesh.stores.disk.layout import Layout, blobs_of
from registry_mesh.stores.disk.left import DiskRoom
from registry_mesh.stores.disk.locks import ProcessLock, file_locked
from registry_mesh.stores.disk.map_file import read_map
from registry_mesh.stores.disk.map_maker import MapMaker
from registry_mesh.stores.disk.records import DiskRecords
from registry_mesh.stores.disk.shelf import Shelf
from registry_mesh.stores.disk.space.ledger import Ledger, charge
from registry_mesh.stores.disk.space.overhead import Overhead
from registry_mesh.stores.disk.space.room import Room, demand_free
from registry_mesh.stores.disk.upkeep import PERIOD, Upkeep
from registry_mesh.stores.disk.whole_blobs import DiskReading, WholeBlobs
from registry_mesh.stores.faults import translated
from registry_mesh.tasks.threads import offload

_BATCH: Final = 1_000


class DiskStore:
    """Implements `ports.cache.CacheStore`. Made by `start`. `whole_blobs` is its reading side, `use` notes that a blob
    is used: for a caller that answers hits itself."""

    def __init__(
        self, shelf: Shelf, alive: ProcessLock, overhead: Overhead | None = None, *, cache: bool
    ) -> None:
        self.shelf = shelf
        self.layout = shelf.layout
        self._alive = alive
        self.upkeep = Upkeep(shelf, overhead)
        self._upkeep_task: asyncio.Task[None] | None = None
        self.use = self.upkeep.use
        self.whole_blobs = WholeBlobs(shelf, self.use, cache=cache)
        self.evictor = Evictor(shelf, self.whole_blobs.files, self.upkeep.flush)
        if cache:
            shelf.room.evict = self.evictor
        self._holds = Holds(shelf, self.whole_blobs, self.use)
        self._maps = None if cache else MapMaker(shelf)  # a cache asks its parents
        self.inspection = Inspection(shelf, cache=cache)
        self.room = DiskRoom(shelf)
        self.holdings = DiskHoldings(shelf)
        self.records = DiskRecords(shelf.layout.records, shelf.layout.tmp, shelf.fsync)

    def __repr__(self) -> str:
        return f"<disk {self.layout.root}: {self.used} of {self.shelf.room.ledger.limit} bytes>"

    @classmethod
    async def start(
        cls,
        root: Path,
        *,
        quota: int | None = None,
        evict: bool = False,
        fsync: DiskFsync = DiskFsync.COMMIT,
        clock: Callable[[], float] = time.time,
        period: float = PERIOD,
    ) -> DiskStore:
        """The store below `root`, made where there is none. `StoreBroken`.

        `quota` is in bytes. `evict`: it is a cache, and drops what is of least use instead of being full;
        what is not counted blob by blob (index, records) is kept out of the quota, too, and without a quota it keeps to
        a share of its file system (`stores.disk.space`). `period`: seconds between two rounds of its upkeep.
        """
        with translated(f"opening the store in {root}"):
            store = await offload(cls._start, Layout(root), quota, evict, fsync, clock)
        store._upkeep_task = asyncio.create_task(store._keep_up(period), name="disk store upkeep")
        return store

    @classmethod
    def _start(
        cls,
        layout: Layout,
        quota: int | None,
        evict: bool,
        fsync: DiskFsync,
        clock: Callable[[], float],
    ) -> DiskStore:
        for directory in layout.directories():
            fsync.make_directory(directory)
        ledger = Ledger(layout.run / "ledger", quota)
        overhead = Overhead(layout, quota) if evict else None
        if overhead is not None:
            ledger.limit = overhead.limit(ledger.used)
        room = Room(ledger)
        shelf = Shelf(layout, room, Index(layout.index), fsync, clock)
        alive = ProcessLock(layout.run / "alive")
        if alive.first:
            rebuild.recover(shelf)
        else:
            rebuild.sweep_orphans(shelf)
        alive.share()
        return cls(shelf, alive, overhead, cache=evict)

    async def _keep_up(self, period: float) -> None:
        while True:
            await offload(self.upkeep.round, self.whole_blobs.files)
            await asyncio.sleep(period)

    async def close(self) -> None:
        """Tell the index the last; close files. Readings must have ended."""
        if self._upkeep_task is not None:
            self._upkeep_task.cancel()
            await asyncio.wait([self._upkeep_task])
        await offload(self._close)

    def _close(self) -> None:
        self.whole_blobs.files.close()
        self.upkeep.flush()
        if self._alive.is_last():
            rebuild.note_clean_end(self.shelf)
        self.shelf.index.close()
        self.shelf.room.ledger.close()
        self._alive.close()

    @property
    def used(self) -> int:
        """Bytes that the store's files take, in all processes."""
        return self.shelf.room.ledger.used

    @property
    def counts(self) -> DiskCounts:
        evictor = self.evictor
        return DiskCounts(
            self.whole_blobs.rotten, evictor.evictions, evictor.evicted_bytes, self.shelf.refetched_bytes
        )

    async def stat(self, digest: Digest) -> BlobInfo:
        file = await self.whole_blobs.open(digest)
        self.whole_blobs.files.release(file)
        return BlobInfo(digest, file.size)

    def open(self, digest: Digest, span: Span | None = None) -> DiskReading:
        return DiskReading(self.whole_blobs, digest, span)

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """What is beside the blob; a store that is no cache makes one at once where there is none."""
        found = await offload(self._chunk_map, digest, span)
        return found if found is not None or self._maps is None else await self._maps.make(digest)

    def _chunk_map(self, digest: Digest, span: Span | None) -> ChunkMap | None:
        with translated("reading a chunk map"):
            size = self._size(digest)
            if size is None:
                raise BlobUnknown(digest=str(digest))
            if size <= CHUNK:  # not worth a file
                mapper = ChunkMapper()
                mapper.update(self.layout.blob(digest).read_bytes())
                return mapper.finish()
            return read_map(self.layout.blob_chunks(digest), digest, size, span)

    @asynccontextmanager
    async def ingest(
        self, expected: Digest | None = None, size: int | None = None, algorithm: str = "sha256"
    ) -> AsyncIterator[DiskIngest]:
        algorithm = expected.algorithm if expected else algorithm
        with translated("beginning a blob"):
            ingest = DiskIngest(await offload(IncomingFile, self.shelf, algorithm, size), expected)
        try:
            yield ingest
        finally:
            await ingest.leave()

    def demand_room(self, size: int, coming: int) -> None:
        """`StoreFull` where a blob of `size` bytes, of which `coming` are still to be written, does not fit within the
        quota or on the disk now. In a thread."""
        self.shelf.room.demand(charge(size))
        demand_free(self.layout.root, coming)

    async def adopt(self, path: Path, digest: Digest, size: int, chunk_map: ChunkMap) -> BlobInfo:
        """Make the finished, synced file at `path`, on the store's file system, the blob; it is renamed or removed.

        The caller has checked its digest. `StoreFull`, `StoreBroken`."""
        return await offload(self._adopt, path, digest, size, chunk_map)

    def _adopt(self, path: Path, digest: Digest, size: int, chunk_map: ChunkMap) -> BlobInfo:
        with translated("adopting a file"):
            self.shelf.room.take(charge(size))
            if not self.shelf.shelve(digest, path, size, chunk_map):
                self.shelf.room.give(charge(size))
                path.unlink(missing_ok=True)
        return BlobInfo(digest, size)

    def hold(self, digest: Digest, size: int) -> AbstractAsyncContextManager[Hold]:
        return self._holds.open(digest, size)

    def lock(self, digest: Digest, purpose: str) -> AbstractAsyncContextManager[bool]:
        """`purpose` is a word of ours, fit for a file's name."""
        return file_locked(self.layout.run / "locks" / f"{purpose}-{digest.algorithm}-{digest.hex}")

    async def held_size(self, digest: Digest) -> int | None:
        with translated("looking for a blob's size"):
            return await offload(self._held_size, digest)

    def _held_size(self, digest: Digest) -> int | None:
        stated = (
            stated_size(path) for path in (self.layout.blob_hold(digest), self.layout.part_hold(digest))
        )
        return next((size for size in stated if size is not None), self._size(digest))

    def _size(self, digest: Digest) -> int | None:
        try:
            return self.layout.blob(digest).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    async def note_sizes(self, manifest: Digest, descriptors: Sequence[Descriptor]) -> None:
        sizes = [(each.digest, each.size) for each in descriptors]
        await offload(said.note_sizes, self.shelf.index, manifest, sizes)

    async def said_size(self, digest: Digest) -> SaidSize | None:
        return await offload(said.size, self.shelf.index, digest)

    async def forget_said(self, digest: Digest) -> None:
        await offload(said.forget_size, self.shelf.index, digest)

    async def note_place(self, digest: Digest, place: Place) -> None:
        await offload(said.note_place, self.shelf.index, digest, str(place))

    async def place_of(self, digest: Digest) -> Place | None:
        text = await offload(said.place, self.shelf.index, digest)
        return Place.parse(text) if text is not None else None

    async def note_names(self, place: Place, digests: Collection[Digest], *, whole: bool = False) -> None:
        """Remember in the index; a fault of it is none of the caller's."""
        await offload(partial(names.note, self.shelf.index, str(place), digests, whole=whole))

    async def names(self, place: Place, digest: Digest) -> bool | None:
        """What the index remembers."""
        return await offload(names.has, self.shelf.index, str(place), digest)

    async def try_writing(self) -> None:
        """`StoreFull` or `StoreBroken` where a page cannot be written to the disk."""
        with translated("writing to the store"):
            await offload(temporary.try_writing, self.layout.tmp)

    async def delete(self, digest: Digest) -> None:
        with translated("deleting a blob"):
            if not await offload(self.shelf.remove, digest):
                raise BlobUnknown(digest=str(digest))

    async def blobs(self) -> AsyncIterator[BlobInfo]:
        found = blobs_of(self.layout)
        while batch := await offload(lambda: list(islice(found, _BATCH))):
            for info in batch:
                yield info
