"""One blob into a store that can hold blobs in part: what came stays, whatever happens to the process.

The digest decides, not the size that a source or a manifest tells: a fill of another size is followed to its end. Where
the bytes are those of the digest the manifest was wrong; where they are not the source was, and the next fill may be
right.

A copy is one reader of a fill, who wants all of it and keeps nothing. So a killed run sends again what was
received and not stored, and at most a chunk of what was; and a client that asks for the blob meanwhile follows
the same stream.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.fill.via import Distrust, Doubt, Via, nobody_doubts
from registry_mesh.content.snapshot.copying.copy_blob import Moved
from registry_mesh.content.snapshot.copying.offer import Offer, RivalsOf, no_rivals
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.failures import SourceLied

RUN_POLICY: Final = FillPolicy(complete_after=0, queued=MIB, batch=MIB // 2)
"""That of a run: a quarter of what waits to be stored else, for a kill loses it. That costs a tenth more CPU; a chunk
at most would cost two and a half times as much."""

_ATTEMPTS = 3
"""Fills of one blob: a source that lied may be followed by one that does not."""


class CopyByFill:
    """Implements `copy_keys.Bring`."""

    def __init__(
        self,
        store: BlobStore,
        fills: Fills,
        distrust: Distrust,
        doubt: Doubt = nobody_doubts,
        rivals: RivalsOf = no_rivals,
    ) -> None:
        self._store = store
        self._fills = fills
        self._distrust = distrust
        self._doubt = doubt
        self._rivals = rivals

    async def __call__(self, offer: Offer, blob: Descriptor, moved: Moved) -> None:
        true = 0 if blob.digest.is_of_nothing else await self._copied(offer, blob, moved)
        if true != blob.size:
            raise SourceLied(f"{blob.digest} has {true} bytes and is said to have {blob.size}")
        if not true:
            await self._empty(blob)

    async def _copied(self, offer: Offer, blob: Descriptor, moved: Moved) -> int:
        """Its size, now that it is here."""
        for _ in range(_ATTEMPTS - 1):
            with suppress(SourceLied):
                return await self._follow(offer, blob, moved)
        return await self._follow(offer, blob, moved)

    async def _follow(self, offer: Offer, blob: Descriptor, moved: Moved) -> int:
        via = Via(offer.registry, offer.blobs, self._distrust, self._doubt, rivals=offer.rivals(self._rivals))
        fill = await self._fills.join(blob.digest, via, None)
        came = 0
        try:
            async for piece in fill.follow(Span(0, fill.size), via):
                came += len(piece)
                moved(len(piece))
        except BaseException:
            moved(-came)
            raise
        return fill.size

    async def _empty(self, blob: Descriptor) -> None:
        async with self._store.ingest(blob.digest, 0, blob.digest.algorithm) as ingest:
            await ingest.commit(blob.digest)
