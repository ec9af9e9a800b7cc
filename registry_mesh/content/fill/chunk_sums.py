"""The sum of each chunk of a blob, as its bytes pass in order."""

from __future__ import annotations

from collections.abc import Collection

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.chunks.sums import ChunkSum, SumAlgorithm
from registry_mesh.oci.digest import Hasher
from registry_mesh.oci.span import Span
from registry_mesh.ports.partial import Bytes


class ChunkSums:
    """Of one stream, in the thread that writes it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._sum: tuple[SumAlgorithm, Hasher] | None = None

    def take(self, offset: int, data: bytes | memoryview, by: SumAlgorithm | None) -> list[ChunkSum | None]:
        """The sums, `by` that algorithm, of the chunks that `data` completes; None of one whose beginning was not seen,
        or was not to be summed (`by` None) when it passed."""
        sums: list[ChunkSum | None] = []
        view, begin, stop = memoryview(data), offset, offset + len(data)
        while offset < stop:
            start = offset // CHUNK * CHUNK
            end = min(self._size, start + CHUNK)
            piece = view[offset - begin : end - begin]
            if offset == start:
                self._sum = (by, by.hasher()) if by is not None else None
            if self._sum is not None:
                self._sum[1].update(piece)
            if end <= stop:
                sums.append(ChunkSum(self._sum[0], self._sum[1].digest()) if self._sum is not None else None)
                self._sum = None
            offset = end
        return sums

    def forget(self) -> None:
        """What comes next does not continue what passed."""
        self._sum = None


async def sums_of_written(data: Bytes, span: Span, by: Collection[SumAlgorithm]) -> set[ChunkSum]:
    """The sums of the chunk at `span`, read again, by those algorithms."""
    if not by:
        return set()
    hashers = {each: each.hasher() for each in by}

    def update(piece: bytes | memoryview) -> None:
        for hasher in hashers.values():
            hasher.update(piece)

    await data.feed(span, update)
    return {ChunkSum(each, hasher.digest()) for each, hasher in hashers.items()}
