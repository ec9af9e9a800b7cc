"""The chunk maps that a node gives to those below it, of blobs that it holds, that are on their way in, or neither."""

from __future__ import annotations

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.chunks.mapper import ChunkMapper
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.nest.belonging import Belonging
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.failures import Failure, MapsDisputed, MapUnusable, StoreBroken
from registry_mesh.ports.shared import NearBlobs


class MapsPassedOn:
    """Of the blobs of `store` and `source`, as far as `belonging` lets them."""

    def __init__(self, store: NearBlobs, source: BlobSource, fills: Fills, belonging: Belonging) -> None:
        self._store = store
        self._source = source
        self._fills = fills
        self._belonging = belonging

    async def of(self, digest: Digest, span: Span | None) -> ChunkMap | None:
        """See `PullThrough.chunk_map`."""
        if digest.is_of_nothing:
            return ChunkMapper().finish()
        try:
            found = await self._store.chunk_map(digest, span)
        except (BlobUnknown, StoreBroken):
            return await self._under_way(digest, span)
        if found is None:
            return await self._of_source(digest, span)
        return found if await self._is_theirs(digest) else None

    async def _is_theirs(self, digest: Digest) -> bool:
        """Whether the blob is the repository's. Of what is not, they learn what they learn of one that is not here."""
        try:
            await self._belonging.demand(digest)
        except (BlobUnknown, Failure):
            return False
        return True

    async def _under_way(self, digest: Digest, span: Span | None) -> ChunkMap | None:
        """The fill's. About that of a part parents are compared first, where the fill has not done so. Where the fill
        waits for it no more nobody below does."""
        fill = self._fills.get(digest)
        if fill is not None and fill.state.parts_withheld:
            return None
        known = fill.comparison.chunk_map(span) if fill is not None else None
        if fill is None or known is None:
            return await self._of_source(digest, span)
        if not await self._is_theirs(digest):
            return None
        return known if fill.comparison.covers(span) else await self._of_source(digest, span, known)

    async def _of_source(
        self, digest: Digest, span: Span | None, known: ChunkMap | None = None
    ) -> ChunkMap | None:
        """`known` where the source cannot be asked."""
        try:
            return await self._source.chunk_map(digest, span)
        except Failure as failure:
            return None if isinstance(failure, MapsDisputed | MapUnusable) else known
