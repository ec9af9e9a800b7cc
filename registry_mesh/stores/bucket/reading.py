"""Reading a blob from the bucket: every chunk is checked before a byte of it leaves this process for the first time.

A chunk that was checked once in this process is streamed as it comes from then on: its object is never rewritten.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap, chunk_span
from registry_mesh.chunks.cutter import Cutter
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import HELD, BlobInfo, Provenance, Streamed
from registry_mesh.ports.failures import StoreRotten
from registry_mesh.stores.bucket.client import S3Client
from registry_mesh.stores.bucket.entry import KnownEntry, data_key
from registry_mesh.tasks.threads import offload


class S3Reading(Streamed):
    """An opened span. `chunk_map` is needed where not all of it is proven yet."""

    def __init__(self, client: S3Client, known: KnownEntry, span: Span, address: str | None) -> None:
        self._client = client
        self._known = known
        self._key = data_key(known.entry.name)
        self.span = span
        self.address = address
        self.rotten = False  # a chunk was wrong, twice

    @property
    def info(self) -> BlobInfo:
        """Return what the blob's entry says."""
        return self._known.entry.info

    @property
    def provenance(self) -> Provenance:
        """Return that it is held."""
        return HELD

    def unchecked(self) -> AsyncGenerator[bytes, None]:
        """The bytes as they come, for a caller that checks them and can ask elsewhere: no stream is resumed.
        `Missing` where they are lost."""
        if self._known.entry.inline is not None or not self.span:
            return self._inline()
        return self._client.pieces(self._key, self.span, self.info.size, tries=1)

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """Give the bytes; those of chunks that this process has not checked yet, checked by the chunk map."""
        if self._known.entry.inline is not None or not self.span:
            return self._inline()
        index, stop = self.span.start // CHUNK, -(-self.span.stop // CHUNK)
        if self._known.proves(index, stop):
            return self._client.pieces(self._key, self.span, self.info.size)
        return self._checked(index, stop)

    async def _inline(self) -> AsyncGenerator[bytes, None]:
        inline = self._known.entry.inline
        if self.span and inline is not None:
            yield inline[self.span.start : self.span.stop]

    async def _checked(self, index: int, stop: int) -> AsyncGenerator[bytes, None]:
        """The span by way of whole chunks."""
        whole = Span(index * CHUNK, min(self.info.size, stop * CHUNK))
        async with aclosing(self._chunks(whole)) as chunks:
            async for data in chunks:
                place = chunk_span(index, self.info.size)
                if not self._known.proves(index, index + 1):
                    data = await self._prove(index, data)
                wanted = self.span.clip(place)
                if len(wanted) == len(data):
                    yield data
                else:
                    yield data[wanted.start - place.start : wanted.stop - place.start]
                index += 1

    async def _chunks(self, whole: Span) -> AsyncGenerator[bytes, None]:
        """The bytes of `whole`, cut at chunk boundaries."""
        cutter = Cutter(whole)
        async with aclosing(self._client.pieces(self._key, whole, self.info.size)) as pieces:
            async for piece in pieces:
                for chunk in cutter.feed(piece):
                    yield chunk

    async def _prove(self, index: int, data: bytes) -> bytes:
        """`data` if it is chunk `index`, else that chunk asked for once more; `StoreRotten` if it is wrong again."""
        chunk_map = self._known.chunk_map
        assert chunk_map is not None, "opened with its map"
        if not await offload(ChunkMap.proves, chunk_map, index, data):
            place = chunk_span(index, self.info.size)
            async with aclosing(self._client.pieces(self._key, place, self.info.size)) as pieces:
                data = b"".join([piece async for piece in pieces])
            if not await offload(ChunkMap.proves, chunk_map, index, data):
                self.rotten = True
                reason = f"chunk {index} of {self.info.digest} is wrong in the bucket"
                raise StoreRotten(reason, self.info.size, source="bucket")
        self._known.prove(index)
        return data
