"""The chunk map that bytes have."""

from __future__ import annotations

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.chunks.mapper import ChunkMapper
from registry_mesh.chunks.sums import NEWEST, SumAlgorithm


def map_of(data: bytes, algorithm: SumAlgorithm = NEWEST) -> ChunkMap:
    """The whole map."""
    mapper = ChunkMapper(algorithm)
    mapper.update(data)
    return mapper.finish()


def fits(found: ChunkMap | None, data: bytes) -> bool:
    """Whether it is the whole map of `data`, by whichever algorithm."""
    return found is not None and found == map_of(data, found.algorithm)
