"""Chunk maps of blobs that came without: read once more, proven by the digest, and kept beside the blob."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap
from registry_mesh.chunks.mapper import ChunkMapper
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import StoreFull
from registry_mesh.stores.disk.shelf import Shelf
from registry_mesh.stores.faults import translated
from registry_mesh.tasks.flights import Flights
from registry_mesh.tasks.threads import offload

_PIECE: Final = 8 * CHUNK


class MapMaker:
    """Of one store. However many ask at once, a blob is read once."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._making: Flights[Digest, ChunkMap | None] = Flights()

    async def make(self, digest: Digest) -> ChunkMap | None:
        """The map of a whole blob; None where its bytes are not those of the digest. An asker that leaves does not
        stop it: the next will want it too."""
        return await self._making.join(digest, lambda: self._make(digest))

    async def _make(self, digest: Digest) -> ChunkMap | None:
        with translated("making a chunk map"):
            return await offload(self._read, digest)

    def _read(self, digest: Digest) -> ChunkMap | None:
        hasher, mapper = digest.hasher(), ChunkMapper()
        with self._shelf.layout.blob(digest).open("rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                hasher.update(piece)
                mapper.update(piece)
        if hasher.hexdigest() != digest.hex:
            return None
        made = mapper.finish()
        with suppress(StoreFull):  # then it is made again when it is asked for again
            self._shelf.put_chunk_map(digest, made)
        return made
