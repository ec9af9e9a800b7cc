"""A store in memory: everything a disk store does, for as long as the process lives.

Small nodes that only relay, and tests, use it. Blobs lie in anonymous files, so that they can be sent like any
file's bytes.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap, ChunkMapper, chunk_span, count
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest, new_hasher
from registry_mesh.oci.refusals import BlobUnknown, DigestInvalid
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import HELD, PIECE, BlobInfo, Buffered, FileSlice, Piece, Provenance
from registry_mesh.ports.cache import SaidSize
from registry_mesh.ports.failures import StoreBroken, StoreFull
from registry_mesh.ports.partial import ChunkState, Give
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import components
from registry_mesh.stores.checksum import crc32
from registry_mesh.stores.writing import write_all

_SLICED_FROM: Final = 64 << 10
"""Bytes from which a span is given as a slice of the file instead of as bytes."""


class AnonymousFile:
    """A file without a name, closed when nothing refers to it."""

    __slots__ = ("fd",)

    def __init__(self) -> None:
        self.fd = os.memfd_create("registry-mesh", os.MFD_CLOEXEC)

    def __del__(self) -> None:
        os.close(self.fd)


class _Reading(Buffered):
    """Implements `ports.blobs.Reading`."""

    def __init__(self, file: AnonymousFile, info: BlobInfo, span: Span) -> None:
        self._file = file
        self.info = info
        self.span = span
        self.address: str | None = None
        self.provenance: Provenance = HELD

    def ready(self, span: Span) -> FileSlice | None:
        return FileSlice(self._file.fd, span.start, span.stop)

    async def pieces(self) -> AsyncIterator[Piece]:
        if len(self.span) >= _SLICED_FROM:
            yield FileSlice(self._file.fd, self.span.start, self.span.stop)
        elif self.span:
            yield os.pread(self._file.fd, len(self.span), self.span.start)


class _Blob:
    __slots__ = ("chunk_map", "file", "info")

    def __init__(self, info: BlobInfo, file: AnonymousFile, chunk_map: ChunkMap | None) -> None:
        self.info = info
        self.file = file
        self.chunk_map = chunk_map


class _Ingest:
    """Implements `ports.blobs.Ingest`."""

    def __init__(self, store: MemoryStore, expected: Digest | None, algorithm: str) -> None:
        self._store = store
        self._algorithm = expected.algorithm if expected else algorithm
        self._hasher = new_hasher(self._algorithm)
        self._mapper = ChunkMapper()
        self._expected = expected
        self._file = AnonymousFile()
        self.offset = 0

    async def write(self, data: bytes) -> None:
        self._store.reserve(len(data))
        write_all(self._file.fd, [data], self.offset)
        self._hasher.update(data)
        self._mapper.update(data)
        self.offset += len(data)

    async def commit(self, expected: Digest | None = None) -> BlobInfo:
        digest = Digest(self._algorithm, self._hasher.hexdigest())
        for wanted in (expected, self._expected):
            if wanted is not None and wanted != digest:
                raise DigestInvalid(given=str(wanted), computed=str(digest))
        info = BlobInfo(digest, self.offset)
        self._store.take(_Blob(info, self._file, self._mapper.finish()))
        self.offset = 0
        return info

    def abort(self) -> None:
        self._store.reserve(-self.offset)


class _Part:
    """A partial blob, shared by all its holds."""

    def __init__(self, info: BlobInfo) -> None:
        self.info = info
        self.file = AnonymousFile()
        self.states = bytearray(count(info.size))
        self.reserved = bytearray(count(info.size))
        self.sums: dict[int, int] = {}
        self.claims: dict[int, MemoryHold] = {}
        self.holds = 0
        self.wanted: int | None = None
        self.committed = False
        self.discarded = False

    def room(self, index: int) -> int:
        return len(chunk_span(index, self.info.size))


class MemoryHold:
    """Implements `ports.partial.Hold`. Two holds of one blob stand to each other as two processes do."""

    def __init__(self, store: MemoryStore, part: _Part) -> None:
        self._store = store
        self._part = part
        self.info = part.info

    def __repr__(self) -> str:
        held = len(self._part.states) - self._part.states.count(0)
        return f"<hold of {self.info.digest}: {held}/{len(self._part.states)} chunks>"

    @property
    def committed(self) -> bool:
        return self._part.committed

    @property
    def discarded(self) -> bool:
        return self._part.discarded

    def state(self, index: int) -> ChunkState:
        return ChunkState(self._part.states[index])

    def states(self) -> bytes:
        return bytes(self._part.states)

    def run(self, index: int, stop: int, state: ChunkState) -> int:
        return next((i for i in range(index, stop) if self._part.states[i] < state), stop)

    def claim(self, chunks: range) -> range:
        stop = chunks.start
        for index in chunks:
            if self._part.claims.get(index, self) is not self or self._part.states[index]:
                break
            self._part.claims[index] = self
            stop = index + 1
        return range(chunks.start, stop)

    def unclaim(self, chunks: range) -> None:
        for index in chunks:
            if self._part.claims.get(index) is self:
                del self._part.claims[index]

    def want(self, index: int) -> None:
        self._part.wanted = index

    def take_want(self, chunks: range) -> int | None:
        wanted = self._part.wanted
        if wanted is None or wanted not in chunks:
            return None
        self._part.wanted = None
        return wanted

    async def write(self, offset: int, give: Give, then: Callable[[], None]) -> None:
        self._must_be_open()
        while data := give():
            length = sum(map(len, data))
            for index in range(offset // CHUNK, count(offset + length)):
                if not self._part.reserved[index]:
                    self._store.reserve(self._part.room(index))
                    self._part.reserved[index] = 1
            write_all(self._part.file.fd, data, offset)
            offset += length
            then()

    def _must_be_open(self) -> None:
        if self._part.committed or self._part.discarded:
            raise StoreBroken("the hold was committed or discarded")

    def mark(self, index: int, state: ChunkState) -> None:
        part = self._part
        part.states[index] = state
        if state is ChunkState.MISSING:
            if part.reserved[index]:
                part.reserved[index] = 0
                self._store.reserve(-part.room(index))
        else:
            part.sums[index] = self._sum(index)

    def _sum(self, index: int) -> int:
        span = chunk_span(index, self.info.size)
        return crc32(os.pread(self._part.file.fd, len(span), span.start))

    async def feed(self, span: Span, sink: Callable[[memoryview], None]) -> None:
        for start in range(span.start, span.stop, PIECE):
            length = min(PIECE, span.stop - start)
            sink(memoryview(os.pread(self._part.file.fd, length, start)))

    untouched = True  # nobody else can reach it

    def checked(self) -> bytes:
        return bytes(len(self._part.states))

    def slice(self, span: Span) -> FileSlice:
        return FileSlice(self._part.file.fd, span.start, span.stop)

    async def check(self, index: int) -> bool:
        if self._part.states[index] and self._sum(index) == self._part.sums.get(index, self._sum(index)):
            return True
        if self._part.states[index]:
            self.mark(index, ChunkState.MISSING)
        return False

    async def commit(self, chunk_map: ChunkMap | None) -> None:
        part = self._part
        if part.committed:
            return
        self._must_be_open()
        if 0 in part.states:
            raise ValueError("a blob with missing chunks cannot be committed")
        part.states = bytearray([ChunkState.PROVEN]) * len(part.states)
        part.committed = True
        self._store.promote(part, chunk_map)

    async def discard(self) -> None:
        part = self._part
        if part.committed or part.discarded:
            return
        part.discarded = True
        self._store.drop(part)

    def close(self) -> None:
        self.unclaim(range(len(self._part.states)))
        self._part.holds -= 1
        if not self._part.holds and not any(self._part.states) and not self._part.discarded:
            self._store.drop(self._part)


class MemoryStore:
    """Implements `ports.cache.CacheStore`. `quota` is in bytes; the store is full beyond it."""

    def __init__(self, quota: int | None = None) -> None:
        self._quota = quota
        self._used = 0
        self._blobs: dict[Digest, _Blob] = {}
        self._parts: dict[Digest, _Part] = {}
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
        return self._blob(digest).info

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[_Reading]:
        blob = self._blob(digest)
        yield _Reading(blob.file, blob.info, blob.info.clip(span))

    async def chunk_map(self, digest: Digest) -> ChunkMap | None:
        return self._blob(digest).chunk_map

    @asynccontextmanager
    async def ingest(
        self, expected: Digest | None = None, size: int | None = None, algorithm: str = "sha256"
    ) -> AsyncIterator[_Ingest]:
        ingest = _Ingest(self, expected, algorithm)
        try:
            yield ingest
        finally:
            ingest.abort()

    async def delete(self, digest: Digest) -> None:
        blob = self._blob(digest)
        del self._blobs[digest]
        self.reserve(-blob.info.size)

    async def blobs(self) -> AsyncIterator[BlobInfo]:
        for blob in list(self._blobs.values()):
            yield blob.info

    @asynccontextmanager
    async def hold(self, digest: Digest, size: int) -> AsyncIterator[MemoryHold]:
        hold = MemoryHold(self, self._part(digest, size))
        hold._part.holds += 1
        try:
            yield hold
        finally:
            hold.close()

    @asynccontextmanager
    async def lock(self, digest: Digest, purpose: str) -> AsyncIterator[bool]:
        key = (digest, purpose)
        mine = key not in self._locks
        self._locks.add(key)
        try:
            yield mine
        finally:
            if mine:
                self._locks.discard(key)

    async def held_size(self, digest: Digest) -> int | None:
        held = self._blobs.get(digest) or self._parts.get(digest)
        return held.info.size if held is not None else None

    async def note_sizes(self, manifest: Digest, descriptors: Sequence[Descriptor]) -> None:
        for each in descriptors:
            self._said[each.digest] = SaidSize(each.size, manifest)

    async def said_size(self, digest: Digest) -> SaidSize | None:
        return self._said.get(digest)

    async def forget_said(self, digest: Digest) -> None:
        self._said.pop(digest, None)

    async def note_place(self, digest: Digest, place: Place) -> None:
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
        return self._places.get(digest)

    def reserve(self, room: int) -> None:
        """Take room (give it back, where negative); `StoreFull` where there is none."""
        if room > 0 and self._quota is not None and self._used + room > self._quota:
            raise StoreFull(f"{self._used} of {self._quota} bytes are used")
        self._used += room

    def take(self, blob: _Blob) -> None:
        """A blob whose room is reserved."""
        if blob.info.digest in self._blobs:
            self.reserve(-blob.info.size)
        else:
            self._blobs[blob.info.digest] = blob

    def promote(self, part: _Part, chunk_map: ChunkMap | None) -> None:
        """A partial blob has become a whole one."""
        if self._parts.get(part.info.digest) is part:
            del self._parts[part.info.digest]
        self.take(_Blob(part.info, part.file, chunk_map))

    def drop(self, part: _Part) -> None:
        if self._parts.get(part.info.digest) is part:
            del self._parts[part.info.digest]
        self.reserve(-sum(part.room(i) for i, reserved in enumerate(part.reserved) if reserved))
        part.reserved = bytearray(len(part.reserved))

    def _blob(self, digest: Digest) -> _Blob:
        blob = self._blobs.get(digest)
        if blob is None:
            raise BlobUnknown(digest=str(digest))
        return blob

    def _part(self, digest: Digest, size: int) -> _Part:
        blob = self._blobs.get(digest)
        if blob is not None:
            part = _Part(blob.info)
            part.file, part.committed = blob.file, True
            part.states = bytearray([ChunkState.PROVEN]) * len(part.states)
            return part
        part = self._parts.get(digest) or _Part(BlobInfo(digest, size))
        if part.info.size != size:
            raise StoreBroken(f"{digest} is held with {part.info.size} bytes, not {size}")
        return self._parts.setdefault(digest, part)


class MemoryRecords:
    """Implements `ports.blobs.Records`."""

    def __init__(self) -> None:
        self._documents: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes | None:
        components(key)
        return self._documents.get(key)

    async def put(self, key: str, data: bytes) -> None:
        components(key)
        self._documents[key] = data

    async def create(self, key: str, data: bytes) -> bool:
        components(key)
        if key in self._documents:
            return False
        self._documents[key] = data
        return True

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            components(key)
            self._documents.pop(key, None)

    async def children(self, prefix: str, after: str = "", limit: int | None = None) -> list[str]:
        found = {key[len(prefix) :].partition("/")[0] for key in self._below(prefix)}
        return sorted(name for name in found if name > after)[:limit]

    async def walk(self, prefix: str) -> AsyncIterator[str]:
        for key in list(self._below(prefix)):
            yield key

    def _below(self, prefix: str) -> Iterator[str]:
        if prefix and not prefix.endswith("/"):
            raise ValueError(f"a prefix ends in /: {prefix!r}")
        return (key for key in self._documents if key.startswith(prefix))
