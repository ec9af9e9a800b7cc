"""Makes a chunk map of bytes as they come."""

from __future__ import annotations

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap
from registry_mesh.chunks.sums import NEWEST, SUM, SumAlgorithm


class ChunkMapper:
    """Takes the bytes in any pieces, in order."""

    def __init__(self, algorithm: SumAlgorithm = NEWEST) -> None:
        self.algorithm = algorithm
        self._sums = bytearray()
        self._hasher = algorithm.hasher()
        self._size = 0

    @classmethod
    def resumed(cls, sums: bytes, algorithm: SumAlgorithm) -> ChunkMapper:
        """One that has seen as many whole chunks as `sums` has sums; goes on with the next chunk's first byte."""
        mapper = cls(algorithm)
        mapper._sums += sums
        mapper._size = len(sums) // SUM * CHUNK
        return mapper

    @property
    def sums(self) -> bytes:
        """The sums of the whole chunks so far."""
        return bytes(self._sums)

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take in the blob's next bytes."""
        view = memoryview(data)
        while view:
            room = CHUNK - self._size % CHUNK
            piece = view[:room]
            self._hasher.update(piece)
            self._size += len(piece)
            if len(piece) == room:
                self._close()
            view = view[len(piece) :]

    def _close(self) -> None:
        self._sums += self._hasher.digest()
        self._hasher = self.algorithm.hasher()

    def finish(self) -> ChunkMap:
        """The map of all that came; the mapper is spent."""
        if self._size % CHUNK:
            self._close()
        return ChunkMap.of_sums(self._size, bytes(self._sums), self.algorithm)
