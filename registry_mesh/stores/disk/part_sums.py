"""Sums of chunks that are being written: taken as the bytes come, so that none is read again to be summed."""

from __future__ import annotations

from collections.abc import Sequence

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.stores.checksum import crc32


class PartSums:
    """Of one hold. A chunk that did not come in order from its beginning has none."""

    def __init__(self) -> None:
        self._sums: dict[int, tuple[int, int]] = {}  # bytes so far, their crc32

    def add(self, offset: int, data: Sequence[bytes | memoryview]) -> None:
        """Bytes from `offset` on were written."""
        for piece in data:
            view = memoryview(piece)
            while view:
                index, start = divmod(offset, CHUNK)
                part = view[: CHUNK - start]
                done, summed = self._sums.get(index, (0, 0)) if start else (0, 0)
                if done == start:
                    self._sums[index] = (start + len(part), crc32(part, summed))
                offset, view = offset + len(part), view[len(part) :]

    def take(self, index: int, length: int) -> int | None:
        """The sum of a chunk of `length` bytes; None where not all of it was seen. It is forgotten then."""
        done, summed = self._sums.pop(index, (0, 0))
        return summed if done == length else None

    def forget(self, index: int) -> None:
        """The chunk is not being written any more."""
        self._sums.pop(index, None)
