"""Parts of chunk maps."""

from __future__ import annotations

from registry_mesh.chunks.chunk_map import ChunkMap, pages_over
from registry_mesh.oci.span import Span


def excerpt(whole: ChunkMap, span: Span | None) -> ChunkMap:
    """The map with the pages of `span` (None: of all) alone; KeyError where one of them is not here."""
    wanted = {page: whole.pages[page] for page in pages_over(span, whole.size)}
    return ChunkMap(whole.size, whole.algorithm, whole.top, wanted)
