"""Chunks of a fill that do not fit its chunk map, and what they tell of the map itself."""

from __future__ import annotations

from registry_mesh.chunks.sums import ChunkSum


class RejectedChunks:
    """Of one fill: which chunk came, from which source, with which sum."""

    def __init__(self) -> None:
        self._sums: dict[int, dict[str, ChunkSum]] = {}
        self._chunks: dict[str, set[int]] = {}
        """Of each source."""

    def add(self, index: int, summed: ChunkSum, source: str) -> bool:
        """Whether another source gave the same chunk: two that agree against the map convict it."""
        seen = self._sums.setdefault(index, {})
        agree = any(other and other != source and value == summed for other, value in seen.items())
        seen[source] = summed
        self._chunks.setdefault(source, set()).add(index)
        return agree

    def repeated(self, index: int, summed: ChunkSum, source: str) -> bool:
        """Whether `source` gave this chunk with this sum before, or another that did not fit: no accident on the way.
        Its bytes are as likely right as the map is then."""
        return self._sums.get(index, {}).get(source) == summed or bool(
            self._chunks.get(source, set()) - {index}
        )
