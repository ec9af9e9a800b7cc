"""Chunks that a signed chunk map has proven: what needs no proof by the digest of the whole any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.chunks.map_format import root
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import SourceLied

SignedRoot = Callable[[Digest], Awaitable[str | None]]
"""Returns the root of the chunk map that the registry's own signature names for a digest (`map_format.root`); None
where nothing is signed."""


async def nothing_is_signed(digest: Digest) -> str | None:
    """None."""
    return None


class VouchedChunks:
    """Of one fill, and this process alone: what others have proven, nobody knows by which map.

    A map is trusted once `signed` names its root. A map that came before, or another one, proves a chunk to be what a
    parent meant, and no more.
    """

    def __init__(self, chunks: int) -> None:
        self._vouched = bytearray(chunks)
        self.trusted = False
        """Whether chunks that come are vouched for: their bytes are not hashed for the digest of the whole."""

    async def look(self, found: ChunkMap, digest: Digest, signed: SignedRoot) -> None:
        """See whether `found` is the map that is signed. `SourceLied` where another one is."""
        named = await signed(digest)
        if named is not None and named != root(found, digest):
            raise SourceLied(f"a chunk map of {digest} that is not the one signed for it")
        self.trusted = named is not None

    def prove(self, index: int, chunks: int) -> None:
        """So many chunks from `index` on fit the map that is here."""
        if self.trusted:
            self._vouched[index : index + chunks] = b"\1" * chunks

    def miss(self, index: int) -> None:
        """A chunk is missing again."""
        self._vouched[index] = 0

    @property
    def whole(self) -> bool:
        """Whether every chunk is vouched for."""
        return self.trusted and all(self._vouched)
