"""The chunk map beside a blob, as a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from registry_mesh.chunks.chunk_map import PAGE, ChunkMap, ChunkMapInvalid, page_length, pages_over
from registry_mesh.chunks.map_format import BEGINNING, MapShape, decode
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span

_SMALL: Final = 64 << 10
"""A map up to so many bytes is read as a whole."""


def read_map(path: Path, digest: Digest, size: int, span: Span | None) -> ChunkMap | None:
    """The map of a blob with the pages of `span` at least (None: with all); None where it is not there, or not the
    blob's. OSError."""
    try:
        with path.open("rb", buffering=0) as file:
            shape = MapShape.read(os.pread(file.fileno(), BEGINNING, 0))
            shape.demand(digest, size)
            if span is None or shape.top_at is None or shape.length <= _SMALL:
                return decode(file.readall(), size, digest)
            return _excerpt(file.fileno(), shape, pages_over(span, size))
    except (FileNotFoundError, ChunkMapInvalid):
        return None


def _excerpt(fd: int, shape: MapShape, pages: range) -> ChunkMap:
    assert shape.top_at is not None
    top = os.pread(fd, shape.follow_at - shape.top_at, shape.top_at)
    found = []
    for page in pages:
        offset, _ = shape.sums_of(range(page * PAGE, (page + 1) * PAGE))
        found.append((page, os.pread(fd, page_length(page, shape.size), offset)))
    return ChunkMap.proven(shape.size, shape.algorithm, top, found)
