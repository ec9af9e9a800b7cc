"""Chunks that were proven by a chunk map about which a second parent was asked, where there is one."""

from __future__ import annotations

from registry_mesh.chunks.chunk_map import PAGE, ChunkMap, pages_of
from registry_mesh.ports.partial import Marks


class ComparedChunks:
    """Of one fill, and this process alone. What others have proven, and lives before, counts for as long as the hold is
    not doubted."""

    def __init__(self, marks: Marks, chunks: int) -> None:
        self._marks = marks
        self._seen = bytearray(chunks)
        self._pages: set[int] = set()
        self._waived = False

    def came(self, found: ChunkMap) -> None:
        """`found` came of parents that were compared: all of it where one algorithm sums both, else the pages that are
        here of both."""
        self._pages.update(found.pages if found.beside is not None else range(pages_of(found.size)))

    def prove(self, index: int, chunks: int) -> None:
        """So many chunks from `index` on, of one page, fit the map that is here: the hold is doubted where nobody
        compared that."""
        if index // PAGE in self._pages:
            self._seen[index : index + chunks] = b"\1" * chunks
        elif not self._marks.doubted:
            self._marks.doubted = True

    def miss(self, index: int) -> None:
        """Chunk `index` is missing again."""
        self._seen[index] = 0

    def knows(self, index: int) -> bool:
        """Whether the sum of chunk `index` was compared."""
        return index // PAGE in self._pages

    def waive(self) -> None:
        """Nobody can be asked: what is proven counts as it is."""
        self._waived = True

    def over(self, first: int, stop: int) -> bool:
        """Whether none of chunks [first, stop) has to be held against a map that was compared, before a part of the
        blob leaves."""
        return self._waived or not self._marks.doubted or self._seen.find(0, first, stop) < 0
