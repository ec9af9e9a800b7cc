"""The blobs of one repository: those of the store that it has a link to.

That a digest is in the store is no right to read it: another repository may have put it there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, BlobStore, Reading
from registry_mesh.ports.documents import decode, encode
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.records import Records
from registry_mesh.repositories.keys import RepositoryKeys


class LinkedBlobs:
    """A BlobSource of one repository over the store of all."""

    def __init__(self, records: Records, blobs: BlobStore, keys: RepositoryKeys) -> None:
        self._records = records
        self._blobs = blobs
        self._keys = keys

    async def linked_at(self, digest: Digest) -> float | None:
        """When the blob was linked (seconds since the epoch); None where it is not."""
        key = self._keys.blob(digest)
        data = await self._records.get(key)
        if data is None:
            return None
        at = decode(data, key).get("at")
        if not isinstance(at, int | float):
            raise StoreBroken(f"{key} says not when")
        return float(at)

    async def link(self, info: BlobInfo, at: float, by: str) -> None:
        """The repository has it from now on. The digest was touched before (`lifecycle`)."""
        await self._records.put(self._keys.linked(info.digest), b"")
        await self._records.put(self._keys.blob(info.digest), encode({"size": info.size, "at": at, "by": by}))

    async def unlink(self, digest: Digest) -> None:
        """The blob belongs to this repository no more."""
        await self._records.delete([self._keys.blob(digest)])

    async def stat(self, digest: Digest) -> BlobInfo:
        """The size of a blob that is linked here; `BlobUnknown` for any other."""
        await self._demand(digest)
        return await self._blobs.stat(digest)

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        """Open a blob that is linked here; `BlobUnknown` for any other."""
        await self._demand(digest)
        async with self._blobs.open(digest, span) as reading:
            yield reading

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """The chunk map of a blob that is linked here; `BlobUnknown` for any other."""
        await self._demand(digest)
        return await self._blobs.chunk_map(digest, span)

    async def _demand(self, digest: Digest) -> None:
        if await self._records.get(self._keys.blob(digest)) is None:
            raise BlobUnknown(digest=str(digest))
