"""Sums of chunks that are being written: taken as the bytes come, so that none is read again to be summed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.stores.checksum import crc32

_UNSEEN: Final = (0, 0)


class PartSums:
    """Of one hold. A chunk that did not come in order from its beginning has none."""

    def __init__(self) -> None:
        self._sums: dict[int, tuple[int, int]] = {}  # bytes so far, their crc32

    def add(self, offset: int, data: Sequence[bytes | memoryview]) -> None:
        """Bytes from `offset` on were written."""
        for piece in data:
            view, at = memoryview(piece), 0
            while at < len(view):
                index, start = divmod(offset + at, CHUNK)
                part = view[at : at + CHUNK - start]
                done, summed = self._sums.get(index, _UNSEEN) if start else _UNSEEN
                if done == start:
                    self._sums[index] = (start + len(part), crc32(part, summed))
                at += len(part)
            offset += at

    def take(self, chunks: range, size: int, read: Callable[[int], int]) -> list[int]:
        """The sums of chunks of a blob of `size` bytes, which are forgotten then; `read` gives the sum of one of which
        not all was seen."""
        seen = [self._sums.pop(index, _UNSEEN) for index in chunks]
        return [
            summed if done == min(CHUNK, size - index * CHUNK) else read(index)
            for index, (done, summed) in zip(chunks, seen, strict=True)
        ]

    def forget(self, index: int) -> None:
        """The chunk is not being written any more."""
        self._sums.pop(index, None)
