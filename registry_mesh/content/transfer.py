"""One stream from a source into a hold: the only thing that moves bytes inwards."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import AsyncExitStack
from time import monotonic
from typing import TYPE_CHECKING, Final

from registry_mesh.chunks.chunk_map import CHUNK, chunk_span
from registry_mesh.chunks.steal import SKIP
from registry_mesh.content.errors import SourceDown, SourceLied, SourceUnavailable
from registry_mesh.content.landing import Landing
from registry_mesh.content.pieces import in_memory
from registry_mesh.content.ports import Reading
from registry_mesh.oci.span import Span

if TYPE_CHECKING:
    from registry_mesh.content.fill import Fill

TRIES: Final = 4
"""Attempts in a row that bring no byte before a transfer gives up."""


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
        """Bytes before this are stored, or lie in a hole."""
        self.source = ""
        self.rate = 0.0  # bytes/s, smoothed
        self._began = monotonic()
        self._landing = Landing(self._store)
        self._sum: hashlib._Hash | None = None
        self._summed: list[bytes] = []

    @property
    def end(self) -> int:
        """The byte after the last one to be filled."""
        return min(self._size, self.chunks.stop * CHUNK)

    def covers(self, index: int) -> bool:
        """Whether this transfer is going to fill that chunk."""
        return self.position // CHUNK <= index < self.chunks.stop and not any(
            index in hole for hole in self.holes
        )

    @property
    def received(self) -> int:
        """Bytes before this have come."""
        return self.position + self._landing.waiting

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

    def end_with_chunk(self) -> None:
        """Nobody wants more: end where the chunk under way ends, wherever the pieces of the stream do."""
        self.chunks = range(self.chunks.start, -(-self.received // CHUNK))

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
                if not await self._fill.transfers.wanted(self) or self._over_long_hole():
                    return
            except (SourceUnavailable, SourceLied) as failure:
                idle = 0 if self.position > before else idle + 1
                self._fill.stumbled(failure)
                if isinstance(failure, SourceLied):
                    self._summed.clear()
                    self._sum = None
                nothing_came = self.position == self.chunks.start * CHUNK
                if idle >= TRIES or (isinstance(failure, SourceDown) and nothing_came):
                    raise
                if idle > 1:
                    await asyncio.sleep(0.05 * 2**idle)

    def _ask(self) -> Span | None:
        if self.position == 0 and self.end == self._size:
            return None
        return Span(self.position, self.end)

    async def _stream(self, reading: Reading) -> None:
        """Take what comes while a thread stores what came before. All that was taken is stored at the end."""
        self.source = reading.provenance.source
        if reading.info.size != self._size:
            raise SourceLied(f"a length of {reading.info.size} bytes, not {self._size}", source=self.source)
        try:
            async for data in in_memory(reading):
                await self._take(data)
                if (
                    self.received >= self.end
                    or not await self._fill.transfers.wanted(self)
                    or self._over_long_hole()
                ):
                    return
            if self.received < self.end:
                raise SourceUnavailable("the stream ended early", source=self.source)
        finally:
            await self._landing.settle()

    def _over_long_hole(self) -> bool:
        """Drop holes that were passed; true where the stream should rather end than read through the next."""
        while self.holes and self.received >= self.holes[0].stop * CHUNK:
            self.holes.pop(0)
        if self.holes and self.received == self.holes[0].start * CHUNK and len(self.holes[0]) * CHUNK > SKIP:
            self.chunks = range(self.chunks.start, self.holes[0].start)
            return True
        return False

    async def _take(self, data: bytes) -> None:
        """Have stored what arrived, less what lies in holes."""
        view = memoryview(data)[: self.end - self.received]
        while view:
            hole = self.holes[0] if self.holes else None
            if hole is not None and self.received >= hole.start * CHUNK:
                await self._landing.settle()  # all of it lies before the hole
                skipped = min(len(view), hole.stop * CHUNK - self.position)
                self.position += skipped
                view = view[skipped:]
                if self.position >= hole.stop * CHUNK:
                    self.holes.pop(0)
                continue
            part = view[: hole.start * CHUNK - self.received] if hole is not None else view
            await self._landing.put(data if len(part) == len(data) else bytes(part))
            view = view[len(part) :]

    async def _store(self, batch: Sequence[bytes]) -> None:
        begin = offset = self.position
        fill = self._fill

        def then() -> None:
            nonlocal offset
            for data in batch:
                fill.prover.inline(offset, data)
                if fill.proof.proving:
                    self._add_to_sums(offset, data)
                else:
                    self._sum = None
                offset += len(data)

        await fill.hold.write(begin, batch, then)
        self.position = offset
        elapsed = monotonic() - self._began
        self.rate = (offset - self.chunks.start * CHUNK) / elapsed if elapsed > 0.01 else 0.0
        first = begin // CHUNK
        last = offset // CHUNK if offset < self._size else -(-self._size // CHUNK)
        for index in range(first, last):
            fill.written(index, self._summed.pop(0) if self._summed else None, self)
        fill.stored(offset - begin, self.source)

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
