"""Everything a bucket holds, read again: each blob by its digest, and what its entry and its chunk map say.

A blob is called rotten when it was read twice and was the same wrong bytes both times, or when some of it is not there.
Its entry is taken away then, so that nobody is sent to it; its bytes linger until the sweep.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Final

from registry_mesh.chunks.chunk_map import ChunkMapInvalid
from registry_mesh.chunks.mapper import ChunkMapper
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import SourceLied, StoreBroken
from registry_mesh.ports.inspection import Inspected
from registry_mesh.stores.bucket.entry import Entry, data_key, digest_of, entry_key, map_key, pending_key
from registry_mesh.stores.bucket.errors import ObjectMissing
from registry_mesh.stores.bucket.maps import checked, encoded, read_map, summed_by
from registry_mesh.stores.bucket.objects import ObjectPage
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.tasks.threads import offload
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

_STEP: Final = 1 << 20


class BucketInspection:
    """Implements `ports.inspection.Inspectable`. It counts what it downloads, a second reading too."""

    def __init__(self, store: S3Store) -> None:
        self._store = store

    async def digests(self, after: Digest | None, stored_before: float) -> AsyncIterator[Digest]:
        """Every blob after `after` whose entry was written before `stored_before`, a listing of 1,000 at a time: a walk
        may take weeks."""
        last = entry_key(after) if after is not None else ""
        while True:
            page = await self._page(last)
            if page is None or not page.objects:
                return
            for listed in page.objects:
                if listed.modified < stored_before:
                    yield digest_of(listed.key)
            last = page.objects[-1].key

    async def _page(self, last: str) -> ObjectPage | None:
        async for page in self._store.control.list("blobs/", start_after=last):
            return page
        return None

    async def inspect(self, digest: Digest) -> AsyncIterator[Inspected]:
        """Read a blob again; the last step says whether it is what it should be."""
        data = await self._store.client.get(entry_key(digest))
        if data is None:
            return
        yield Inspected(len(data))
        try:
            entry = Entry.decode(digest, data)
        except StoreBroken:  # it cannot be read, or its own bytes are not the blob's
            yield await self._rotten(digest, data, len(data))
            return
        if entry.inline is None:
            async for step in self._large(entry, data):
                yield step

    async def _large(self, entry: Entry, data: bytes) -> AsyncIterator[Inspected]:
        """Read bytes that lie in an object of their own; once more where they are wrong."""
        seen = set[str]()
        for _ in range(2):
            hasher = entry.digest.hasher()
            try:
                async for size in self._read(entry, hasher.update):
                    yield Inspected(size)
            except ObjectMissing:
                yield await self._rotten(entry.digest, data, entry.size)
                return
            except SourceLied as lie:  # the object has another length
                seen.add(lie.reason)
                continue
            seen.add(hasher.hexdigest())
            if entry.digest.hex in seen:
                await self._see_to_map(entry)
                return
        if len(seen) > 1:
            raise StoreBroken(f"the bucket gives other bytes of {entry.digest} each time")
        yield await self._rotten(entry.digest, data, entry.size)

    async def _read(self, entry: Entry, sink: Callable[[bytes], object]) -> AsyncIterator[int]:
        """Give all bytes to `sink`, in a thread; tell how many, a step at a time."""
        read, span = 0, Span(0, entry.size)
        async with aclosing(self._store.client.pieces(data_key(entry.name), span, entry.size)) as pieces:
            async for piece in pieces:
                await offload(sink, piece)
                read += len(piece)
                if read >= _STEP:
                    yield read
                    read = 0
        yield read

    async def _see_to_map(self, entry: Entry) -> None:
        """A chunk map that is lost or wrong is made again of the bytes, which are right: none is served without it."""
        if entry.own_map() is not None or await self._has_map(entry):
            return
        mapper = ChunkMapper(summed_by(entry))
        async for _ in self._read(entry, mapper.update):
            pass
        made = encoded(entry, mapper.finish())
        with suppress(ChunkMapInvalid):
            checked(made, entry)
            await self._store.client.put(map_key(entry.name), made)
            log.warning("a chunk map in the bucket was wrong", extra={FIELDS: {"digest": str(entry.digest)}})

    async def _has_map(self, entry: Entry) -> bool:
        """Whether the chunk map that the entry names is there, whole."""
        try:
            return (await read_map(self._store.client, entry, None)).whole
        except (ObjectMissing, ChunkMapInvalid):
            return False

    async def _rotten(self, digest: Digest, data: bytes, size: int) -> Inspected:
        """Take away the entry, if it is still the one that was read."""
        client, key = self._store.client, entry_key(digest)
        if await client.get(key) != data:
            return Inspected(0)
        with suppress(StoreBroken):
            name = Entry.decode(digest, data).name
            if name:
                await client.put(pending_key(name), str(digest).encode())
        await self._store.control.delete([key])
        self._store.unlearn(digest)
        return Inspected(0, (Span(0, max(1, size)),))
