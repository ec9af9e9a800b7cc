"""Texts in memory that all processes of a node share, one a row: each is written by one process, and read by all."""

from __future__ import annotations

import mmap


class Texts:
    """Of at most `most` - 1 bytes each; what is longer is cut off."""

    def __init__(self, most: int, memory: memoryview[int]) -> None:
        self._most = most
        self._memory = memory

    @classmethod
    def shared(cls, rows: int, most: int) -> Texts:
        """Empty ones, to be made before the first fork."""
        return cls(most, memoryview(mmap.mmap(-1, rows * most)))

    def part(self, first: int, after: int) -> Texts:
        """Rows [first, after)."""
        return Texts(self._most, self._memory[first * self._most : after * self._most])

    def read(self, row: int) -> str:
        """Return what was written last; empty where nothing was."""
        return bytes(self._memory[self._of(row)]).partition(b"\0")[0].decode(errors="replace")

    def write(self, row: int, text: str) -> None:
        """Put it in the place of what was there."""
        self._memory[self._of(row)] = text.encode()[: self._most - 1].ljust(self._most, b"\0")

    def _of(self, row: int) -> slice:
        return slice(row * self._most, (row + 1) * self._most)
