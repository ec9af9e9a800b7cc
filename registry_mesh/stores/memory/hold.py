"""Partial blobs in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap, chunk_span, count
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import PIECE, BlobInfo, FileSlice
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.partial import STATES, ChunkState, Give
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
        self.doubted = False

    def room(self, index: int) -> int:
        """Return how many bytes of the quota a chunk takes."""
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
        """Return whether some hold of the blob committed it."""
        return self._part.committed

    @property
    def discarded(self) -> bool:
        """Return whether some hold of the blob discarded it."""
        return self._part.discarded

    @property
    def doubted(self) -> bool:
        """Return whether some hold of the blob doubts what proves its chunks."""
        return self._part.doubted

    @doubted.setter
    def doubted(self, doubted: bool) -> None:
        self._part.doubted = doubted

    def state(self, index: int) -> ChunkState:
        """Return the state of one chunk."""
        return STATES[self._part.states[index]]

    def states(self) -> bytes:
        """Return a copy of the states of all chunks."""
        return bytes(self._part.states)

    def run(self, index: int, stop: int, state: ChunkState) -> int:
        """Return the first chunk in [index, stop) whose state is less than `state`; `stop` where there is none."""
        return next((i for i in range(index, stop) if self._part.states[i] < state), stop)

    def claim(self, chunks: range) -> range:
        """Claim the leading chunks that are missing and that no other hold has claimed."""
        stop = chunks.start
        for index in chunks:
            if self._part.claims.get(index, self) is not self or self._part.states[index]:
                break
            self._part.claims[index] = self
            stop = index + 1
        return range(chunks.start, stop)

    def unclaim(self, chunks: range) -> None:
        """Give back the claims of this hold among `chunks`."""
        for index in chunks:
            if self._part.claims.get(index) is self:
                del self._part.claims[index]

    def want(self, index: int) -> None:
        """Ask whoever has claimed the chunk for it; a later wish takes its place."""
        self._part.wanted = index

    def take_want(self, chunks: range) -> int | None:
        """Return the wish and clear it, where it is one of `chunks`."""
        wanted = self._part.wanted
        if wanted is None or wanted not in chunks:
            return None
        self._part.wanted = None
        return wanted

    def rest(self) -> bool:
        """Return True: nothing is evicted from memory."""
        return True

    def wake(self) -> bool:
        """Return True: all of it is there."""
        return True

    async def write(self, offset: int, give: Give, then: Callable[[], None]) -> None:
        """Write what `give` gives, in the caller's thread. `StoreFull` by the quota, `StoreBroken` after the end."""
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

    def mark(self, index: int, state: ChunkState, chunks: int = 1) -> None:
        """Set the state of chunks, and note the sums of their bytes; MISSING gives their room back."""
        for each in range(index, index + chunks):
            self._mark(each, state)

    def _mark(self, index: int, state: ChunkState) -> None:
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
        """Call `sink` with the bytes of `span`, in the caller's thread."""
        for start in range(span.start, span.stop, PIECE):
            length = min(PIECE, span.stop - start)
            sink(memoryview(os.pread(self._part.file.fd, length, start)))

    untouched = True  # nobody else can reach it

    def checked(self) -> bytes:
        """Return that no chunk is good without reading it."""
        return bytes(len(self._part.states))

    def slice(self, span: Span) -> FileSlice:
        """Return the bytes as a slice of the memory's file."""
        return FileSlice(self._part.file.fd, span.start, span.stop)

    async def check(self, index: int) -> bool:
        """Return whether the chunk still has its sum; one that has not is set MISSING."""
        if self._part.states[index] and self._sum(index) == self._part.sums.get(index, self._sum(index)):
            return True
        if self._part.states[index]:
            self.mark(index, ChunkState.MISSING)
        return False

    async def commit(self, chunk_map: ChunkMap | None) -> None:
        """Make it a whole blob of the store. `ValueError` where a chunk is missing, `StoreBroken` once discarded."""
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
        """Drop it, for every hold of the blob."""
        part = self._part
        if part.committed or part.discarded:
            return
        part.discarded = True
        self._store.drop(part)

    def close(self) -> None:
        """Give the claims back; the last hold of a part without a byte takes it away."""
        self.unclaim(range(len(self._part.states)))
        self._part.holds -= 1
        if not self._part.holds and not any(self._part.states) and not self._part.discarded:
            self._store.drop(self._part)
