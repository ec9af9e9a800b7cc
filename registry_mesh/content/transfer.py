"""One stream from a source into a hold: the only thing that moves bytes inwards."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import AsyncExitStack
from time import monotonic
from typing import TYPE_CHECKING, Final

from registry_mesh.chunks.chunk_map import CHUNK, chunk_span
from registry_mesh.chunks.steal import SKIP
from registry_mesh.content.errors import SourceLied, SourceUnavailable
from registry_mesh.content.pieces import in_memory
from registry_mesh.content.ports import Reading
from registry_mesh.oci.span import Span

if TYPE_CHECKING:
    from registry_mesh.content.fill import Fill

TRIES: Final = 4
"""Attempts in a row that bring no byte before a transfer gives up."""

GATE: Final = 64 << 10
"""The end of a chunk that is not released before the chunk is marked, so that no blob is ever complete at a
reader before its digest is known to fit."""


class Transfer:
    """Fills chunks [first, stop) of `fill`, in order, less the holes that were carved out of it. `unasked`:
    all of them, whether a reader waits for them or not."""

    def __init__(self, fill: Fill, chunks: range, *, unasked: bool = False) -> None:
        self._fill = fill
        self._size = fill.hold.info.size
        self.chunks = chunks
        self.unasked = unasked
        self.holes: list[range] = []
        self.position = chunks.start * CHUNK
        self.source = ""
        self.rate = 0.0  # bytes/s, smoothed
        self._began = monotonic()
        self._sum: hashlib._Hash | None = None
        self._summed: list[bytes] = []

    @property
    def end(self) -> int:
        """The byte after the last one to be filled."""
        return min(self._size, self.chunks.stop * CHUNK)

    @property
    def readable(self) -> int:
        """Bytes before this are written, and far enough from the end of their chunk to be released unmarked."""
        chunk_end = min(self._size, (self.position // CHUNK + 1) * CHUNK)
        return min(self.position, max(self.position // CHUNK * CHUNK, chunk_end - GATE))

    def covers(self, index: int) -> bool:
        """Whether this transfer is going to fill that chunk."""
        return self.position // CHUNK <= index < self.chunks.stop and not any(
            index in hole for hole in self.holes
        )

    @property
    def received(self) -> int:
        """Bytes before this have come."""
        return self.position

    def next_after(self, index: int) -> int:
        """The first chunk after `index`, which it does not cover, that it is going to fill; far away where none."""
        begin = self.position // CHUNK
        if begin > index:
            return begin if begin < self.chunks.stop else 1 << 62
        return next((hole.stop for hole in self.holes if index in hole), 1 << 62)

    def carve(self, chunks: range) -> None:
        """Leave `chunks` to another transfer."""
        if chunks.stop >= self.chunks.stop:
            self.chunks = range(self.chunks.start, chunks.start)
        else:
            self.holes = sorted([*self.holes, chunks], key=lambda hole: hole.start)

    async def run(self, opened: tuple[AsyncExitStack, Reading] | None = None) -> None:
        """Until all is filled or nobody wants more. Resumes at the same byte, at whichever source is next."""
        idle = 0
        while self.position < self.end:
            before = self.position
            try:
                if opened is not None:
                    stack, reading = opened
                    opened = None
                    async with stack:
                        await self._stream(reading)
                else:
                    async with self._fill.source.open(self._fill.digest, self._ask()) as reading:
                        await self._stream(reading)
                if not await self._fill.wanted(self) or self._over_long_hole():
                    return
            except (SourceUnavailable, SourceLied) as failure:
                idle = 0 if self.position > before else idle + 1
                self._fill.stumbled(failure)
                if isinstance(failure, SourceLied):
                    self._summed.clear()
                    self._sum = None
                if idle >= TRIES:
                    raise
                if idle > 1:
                    await asyncio.sleep(0.05 * 2**idle)

    def _ask(self) -> Span | None:
        if self.position == 0 and self.end == self._size:
            return None
        return Span(self.position, self.end)

    async def _stream(self, reading: Reading) -> None:
        self.source = reading.provenance.source
        if reading.info.size != self._size:
            raise SourceLied(f"a length of {reading.info.size} bytes, not {self._size}", source=self.source)
        async for data in in_memory(reading):
            await self._take(data)
            if self.position >= self.end or not await self._fill.wanted(self) or self._over_long_hole():
                return
        if self.position < self.end:
            raise SourceUnavailable("the stream ended early", source=self.source)

    def _over_long_hole(self) -> bool:
        """Drop holes that were passed; true where the stream should rather end than read through the next."""
        while self.holes and self.position >= self.holes[0].stop * CHUNK:
            self.holes.pop(0)
        if self.holes and self.position == self.holes[0].start * CHUNK and len(self.holes[0]) * CHUNK > SKIP:
            self.chunks = range(self.chunks.start, self.holes[0].start)
            return True
        return False

    async def _take(self, data: bytes) -> None:
        """Store what arrived, chunk by chunk where sums are needed."""
        view = memoryview(data)[: self.end - self.position]
        while view:
            hole = self.holes[0] if self.holes else None
            if hole is not None and self.position >= hole.start * CHUNK:
                skipped = min(len(view), hole.stop * CHUNK - self.position)
                self.position += skipped
                view = view[skipped:]
                if self.position >= hole.stop * CHUNK:
                    self.holes.pop(0)
                continue
            limit = hole.start * CHUNK - self.position if hole is not None else len(view)
            await self._store(bytes(view[:limit]) if limit < len(data) else data)
            view = view[limit:]
        elapsed = monotonic() - self._began
        self.rate = (self.position - self.chunks.start * CHUNK) / elapsed if elapsed > 0.01 else 0.0

    async def _store(self, data: bytes) -> None:
        offset = self.position
        fill = self._fill

        def then() -> None:
            fill.prover.inline(offset, data)
            if fill.proving:
                self._add_to_sums(offset, data)
            else:
                self._sum = None

        await fill.hold.write(offset, [data], then)
        self.position = offset + len(data)
        first = offset // CHUNK
        last = self.position // CHUNK if self.position < self._size else -(-self._size // CHUNK)
        for index in range(first, last):
            fill.written(index, self._summed.pop(0) if self._summed else None, self)
        fill.stored(len(data), self.source)

    def _add_to_sums(self, offset: int, data: bytes) -> None:
        """sha256 of each chunk as it passes. A chunk whose beginning was not seen here yields no sum."""
        view = memoryview(data)
        while view:
            span = chunk_span(offset // CHUNK, self._size)
            piece = view[: span.stop - offset]
            if offset == span.start:
                self._sum = hashlib.sha256()
            offset += len(piece)
            if self._sum is not None:
                self._sum.update(piece)
                if offset == span.stop:
                    self._summed.append(self._sum.digest())
                    self._sum = None
            view = view[len(piece) :]
