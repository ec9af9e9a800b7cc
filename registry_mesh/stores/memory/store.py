"""A store in memory: everything a disk store does, for as long as the process lives.

Small nodes that only relay, and tests, use it. Blobs lie in anonymous files, so that they can be sent like any
file's bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.chunks.sums import NEWEST, SumAlgorithm
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.ports.cache import SaidSize
from registry_mesh.ports.failures import StoreBroken, StoreFull
from registry_mesh.ports.partial import ChunkState
from registry_mesh.ports.place import Place
from registry_mesh.stores.memory.blob import MemoryBlob, MemoryReading
from registry_mesh.stores.memory.hold import MemoryHold, Part
from registry_mesh.stores.memory.ingest import MemoryIngest
from registry_mesh.stores.memory.records import MemoryRecords


class MemoryStore:
    """Implements `ports.cache.CacheStore`. `quota` is in bytes; the store is full beyond it."""

    def __init__(self, quota: int | None = None, sums: SumAlgorithm = NEWEST) -> None:
        self._quota = quota
        self._sums = sums
        self._used = 0
        self._blobs: dict[Digest, MemoryBlob] = {}
        self._parts: dict[Digest, Part] = {}
        self._said: dict[Digest, SaidSize] = {}
        self._names: dict[Place, set[Digest]] = {}
        self._whole: set[Place] = set()
        self._places: dict[Digest, Place] = {}
        self._locks: set[tuple[Digest, str]] = set()
        self.records = MemoryRecords()

    def __repr__(self) -> str:
        return f"<memory: {len(self._blobs)} blobs, {len(self._parts)} partial, {self._used} bytes>"

    async def close(self) -> None:
        """Nothing to do; what is held goes with the store."""

    async def stat(self, digest: Digest) -> BlobInfo:
        """Return the blob's length. `BlobUnknown`."""
        return self._blob(digest).info

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[MemoryReading]:
        """Give the blob's bytes, which stay while they are read. `BlobUnknown`."""
        blob = self._blob(digest)
        yield MemoryReading(blob.file, blob.info, blob.info.clip(span))

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """Return the blob's map; None where it has none. `BlobUnknown`."""
        return self._blob(digest).chunk_map

    @asynccontextmanager
    async def ingest(
        self, expected: Digest | None = None, size: int | None = None, algorithm: str = "sha256"
    ) -> AsyncIterator[MemoryIngest]:
        """Take a blob in; what is not committed is dropped."""
        ingest = MemoryIngest(self, expected, algorithm, self._sums)
        try:
            yield ingest
        finally:
            ingest.abort()

    async def delete(self, digest: Digest) -> None:
        """Forget the blob; who reads it reads on. `BlobUnknown`."""
        blob = self._blob(digest)
        del self._blobs[digest]
        self.reserve(-blob.info.size)

    async def blobs(self) -> AsyncIterator[BlobInfo]:
        """Give every whole blob."""
        for blob in list(self._blobs.values()):
            yield blob.info

    @asynccontextmanager
    async def hold(self, digest: Digest, size: int) -> AsyncIterator[MemoryHold]:
        """Give the partial blob, made where there is none. `StoreFull` by the quota."""
        hold = MemoryHold(self, self._part(digest, size))
        hold._part.holds += 1
        try:
            yield hold
        finally:
            hold.close()

    @asynccontextmanager
    async def lock(self, digest: Digest, purpose: str) -> AsyncIterator[bool]:
        """Be the one of this process that does `purpose` for the blob; False: another does."""
        key = (digest, purpose)
        mine = key not in self._locks
        self._locks.add(key)
        try:
            yield mine
        finally:
            if mine:
                self._locks.discard(key)

    async def held_size(self, digest: Digest) -> int | None:
        """Return the length of a blob that is here, whole or in part."""
        held = self._blobs.get(digest) or self._parts.get(digest)
        return held.info.size if held is not None else None

    async def note_sizes(self, manifest: Digest, descriptors: Sequence[Descriptor]) -> None:
        """Remember what a manifest says."""
        for each in descriptors:
            self._said[each.digest] = SaidSize(each.size, manifest)

    async def said_size(self, digest: Digest) -> SaidSize | None:
        """Return what was said last."""
        return self._said.get(digest)

    async def forget_said(self, digest: Digest) -> None:
        """Forget what was said."""
        self._said.pop(digest, None)

    async def note_place(self, digest: Digest, place: Place) -> None:
        """Remember the place."""
        self._places[digest] = place

    async def note_names(self, place: Place, digests: Collection[Digest], *, whole: bool = False) -> None:
        """Remember for the life of the store."""
        self._names.setdefault(place, set()).update(digests)
        if whole:
            self._whole.add(place)

    async def names(self, place: Place, digest: Digest) -> bool | None:
        """Whether it was noted; None where `place` was never noted whole."""
        if digest in self._names.get(place, ()):
            return True
        return False if place in self._whole else None

    async def place_of(self, digest: Digest) -> Place | None:
        """Return the place that was noted last."""
        return self._places.get(digest)

    def reserve(self, room: int) -> None:
        """Take room (give it back, where negative); `StoreFull` where there is none."""
        if room > 0 and self._quota is not None and self._used + room > self._quota:
            raise StoreFull(f"{self._used} of {self._quota} bytes are used")
        self._used += room

    def take(self, blob: MemoryBlob) -> None:
        """A blob whose room is reserved."""
        if blob.info.digest in self._blobs:
            self.reserve(-blob.info.size)
        else:
            self._blobs[blob.info.digest] = blob

    def promote(self, part: Part, chunk_map: ChunkMap | None) -> None:
        """A partial blob has become a whole one."""
        if self._parts.get(part.info.digest) is part:
            del self._parts[part.info.digest]
        self.take(MemoryBlob(part.info, part.file, chunk_map))

    def drop(self, part: Part) -> None:
        """Forget a partial blob, and give its room back."""
        if self._parts.get(part.info.digest) is part:
            del self._parts[part.info.digest]
        self.reserve(-sum(part.room(i) for i, reserved in enumerate(part.reserved) if reserved))
        part.reserved = bytearray(len(part.reserved))

    def _blob(self, digest: Digest) -> MemoryBlob:
        blob = self._blobs.get(digest)
        if blob is None:
            raise BlobUnknown(digest=str(digest))
        return blob

    def _part(self, digest: Digest, size: int) -> Part:
        blob = self._blobs.get(digest)
        if blob is not None:
            part = Part(blob.info)
            part.file, part.committed = blob.file, True
            part.states = bytearray([ChunkState.PROVEN]) * len(part.states)
            return part
        part = self._parts.get(digest) or Part(BlobInfo(digest, size))
        if part.info.size != size:
            raise StoreBroken(f"{digest} is held with {part.info.size} bytes, not {size}")
        return self._parts.setdefault(digest, part)
