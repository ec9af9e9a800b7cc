"""Partial blobs in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap, chunk_span, count
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import PIECE, BlobInfo, FileSlice
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.partial import ChunkState, Give
from registry_mesh.stores.checksum import crc32
from registry_mesh.stores.memory.blob import AnonymousFile
from registry_mesh.stores.writing import write_all


class Part:
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


class HoldPromoter(Protocol):
    """The store that partial blobs lie in."""

    def reserve(self, room: int) -> None:
        """Take room (give it back, where negative); `StoreFull` where there is none."""
        ...

    def promote(self, part: Part, chunk_map: ChunkMap | None) -> None:
        """Make a whole blob of it."""
        ...

    def drop(self, part: Part) -> None:
        """Forget it, and give back its room."""
        ...


class MemoryHold:
    """Implements `ports.partial.Hold`. Two holds of one blob stand to each other as two processes do."""

    def __init__(self, store: HoldPromoter, part: Part) -> None:
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

    async def feed(self, span: Span, sink: Callable[[memoryview], object]) -> None:
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
