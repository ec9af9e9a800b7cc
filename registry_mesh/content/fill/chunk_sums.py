"""The sha256 of each chunk of a blob, as its bytes pass in order."""

from __future__ import annotations

import hashlib

from registry_mesh.chunks.chunk_map import CHUNK, chunk_span


class ChunkSums:
    """Of one stream, in the thread that writes it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._sum: hashlib._Hash | None = None

    def take(self, offset: int, data: bytes | memoryview, *, wanted: bool) -> list[bytes | None]:
        """The sums of the chunks that `data` completes; None of one whose beginning was not seen, or was not `wanted`
        when it passed."""
        sums: list[bytes | None] = []
        view = memoryview(data)
        while view:
            span = chunk_span(offset // CHUNK, self._size)
            piece = view[: span.stop - offset]
            if offset == span.start:
                self._sum = hashlib.sha256() if wanted else None
            offset += len(piece)
            if self._sum is not None:
                self._sum.update(piece)
            if offset == span.stop:
                sums.append(self._sum.digest() if self._sum is not None else None)
                self._sum = None
            view = view[len(piece) :]
        return sums

    def forget(self) -> None:
        """What comes next does not continue what passed."""
        self._sum = None
