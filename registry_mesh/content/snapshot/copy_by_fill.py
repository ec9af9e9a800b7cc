"""One blob into a store that can hold blobs in part: what came stays, whatever happens to the process.

A copy is one reader of a fill, who wants all of it and keeps nothing. So a killed run sends again at most the
chunk that was on its way, and a client that asks for the blob meanwhile follows the same stream.
"""

from __future__ import annotations

from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.via import Distrust, Via
from registry_mesh.content.snapshot.copy_blob import Moved
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.cache import CacheStore
from registry_mesh.ports.failures import SourceLied

_ATTEMPTS = 3
"""Fills of one blob: a source that lied may be followed by one that does not."""


class CopyByFill:
    """Implements `copy_graph.Bring`."""

    def __init__(self, store: CacheStore, fills: Fills, distrust: Distrust) -> None:
        self._store = store
        self._fills = fills
        self._distrust = distrust

    async def __call__(self, source: BlobSource, blob: Descriptor, moved: Moved) -> None:
        if not blob.size:
            return await self._empty(blob)
        for attempt in range(_ATTEMPTS):
            try:
                return await self._follow(source, blob, moved)
            except SourceLied:
                if attempt + 1 == _ATTEMPTS:
                    raise
        return None

    async def _follow(self, source: BlobSource, blob: Descriptor, moved: Moved) -> None:
        via = Via("", source, self._distrust)
        fill = await self._fills.join(blob.digest, via, None)
        if fill.size != blob.size:
            raise SourceLied(f"{blob.digest} has {fill.size} bytes there, {blob.size} are named")
        came = 0
        try:
            async for piece in fill.follow(Span(0, blob.size), via):
                came += len(piece)
                moved(len(piece))
        except BaseException:
            moved(-came)
            raise

    async def _empty(self, blob: Descriptor) -> None:
        async with self._store.ingest(blob.digest, 0, blob.digest.algorithm) as ingest:
            await ingest.commit(blob.digest)
