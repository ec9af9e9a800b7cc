"""What one transfer is to fill, and how far it has come."""

from __future__ import annotations

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.chunks.steal import SKIP


class Stretch:
    """Chunks of a blob of `size` bytes, filled in order, less the holes that were carved out of them."""

    def __init__(self, size: int, chunks: range) -> None:
        self._size = size
        self.chunks = chunks
        self.holes: list[range] = []
        self.position = chunks.start * CHUNK
        """Bytes before this are stored, or lie in a hole."""
        self.received = self.position
        """Bytes before this have come, or are being received by a thread."""

    @property
    def end(self) -> int:
        """The byte after the last one to be filled."""
        return min(self._size, self.chunks.stop * CHUNK)

    def covers(self, index: int) -> bool:
        """Whether that chunk is going to be filled."""
        return self.position // CHUNK <= index < self.chunks.stop and not any(
            index in hole for hole in self.holes
        )

    def next_after(self, index: int) -> int:
        """The first chunk after `index`, which it does not cover, that it is going to fill; far away where none."""
        begin = self.position // CHUNK
        if begin > index:
            return begin if begin < self.chunks.stop else 1 << 62
        return next((hole.stop for hole in self.holes if index in hole), 1 << 62)

    def carve(self, chunks: range) -> None:
        """Leave `chunks` to another."""
        if chunks.stop >= self.chunks.stop:
            self.chunks = range(self.chunks.start, chunks.start)
        else:
            self.holes = sorted([*self.holes, chunks], key=lambda hole: hole.start)

    def end_with_chunk(self) -> None:
        """Nobody wants more: end where the chunk under way ends, wherever the pieces of the stream do."""
        self.chunks = range(self.chunks.start, -(-self.received // CHUNK))

    def over_long_hole(self) -> bool:
        """Drop holes that were passed; true where the stream should rather end than read through the next."""
        while self.holes and self.received >= self.holes[0].stop * CHUNK:
            self.holes.pop(0)
        if self.holes and self.received == self.holes[0].start * CHUNK and len(self.holes[0]) * CHUNK > SKIP:
            self.chunks = range(self.chunks.start, self.holes[0].start)
            return True
        return False
