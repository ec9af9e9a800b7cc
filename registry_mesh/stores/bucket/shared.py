"""Two looks at a site's cache on a bucket: what can be sent at once, and the bucket as a source of the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, suppress
from typing import Final

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, Provenance, Reading, Streamed
from registry_mesh.ports.cache import SaidSize
from registry_mesh.ports.failures import Failure, SourceLied, SourceUnavailable, StoreBroken
from registry_mesh.ports.shared import NearBlobs, SharedBlobs
from registry_mesh.stores.bucket.errors import ObjectMissing
from registry_mesh.stores.bucket.guard import Guard
from registry_mesh.stores.bucket.reading import S3Reading
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.stores.disk.store import DiskStore

STALL: Final = 10.0
"""Seconds without a byte after which a stream of the bucket's is given up."""


OpenInBucket = Callable[[Digest, Span | None], AbstractAsyncContextManager[Reading]]


class SpoolFirst:
    """`NearBlobs`: the spool; and where the bucket has an address for what is wanted, the bucket, so that clients can
    be sent there. What is known of a blob is asked of both, of the bucket by way of `guard`."""

    def __init__(self, spool: DiskStore, bucket: S3Store, guard: Guard, open_in_bucket: OpenInBucket) -> None:
        self._spool = spool
        self._bucket = bucket
        self._guard = guard
        self._open_in_bucket = open_in_bucket

    async def stat(self, digest: Digest) -> BlobInfo:
        """Return what the spool says, or else the bucket. `BlobUnknown`, `StoreBroken`."""
        with suppress(BlobUnknown, StoreBroken):
            return await self._spool.stat(digest)
        return await self._guard.ask(lambda: self._bucket.stat(digest))

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        """Give the spool's bytes, or the bucket's where clients may be sent to it. `BlobUnknown`, `StoreBroken`."""
        async with AsyncExitStack() as stack:
            try:
                reading: Reading = await stack.enter_async_context(self._spool.open(digest, span))
            except (BlobUnknown, StoreBroken):
                if not self._bucket.redirects:
                    raise
                reading = await stack.enter_async_context(self._open_in_bucket(digest, span))
                if not reading.address:
                    raise
            yield reading

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """Return the spool's map, or else the bucket's."""
        with suppress(BlobUnknown, StoreBroken):
            found = await self._spool.chunk_map(digest, span)
            if found is not None:
                return found
        return await self._guard.ask(lambda: self._bucket.chunk_map(digest, span))

    async def held_size(self, digest: Digest) -> int | None:
        """A bucket that does not answer holds none: the blob is brought to the spool all the same."""
        size = await self._spool.held_size(digest)
        if size is None:
            with suppress(BlobUnknown, StoreBroken):
                size = (await self._guard.ask(lambda: self._bucket.stat(digest))).size
        return size

    async def said_size(self, digest: Digest) -> SaidSize | None:
        """Return what the spool's index remembers."""
        return await self._spool.said_size(digest)


class BucketAsParent:
    """`SharedBlobs` of a bucket, by way of a guard: one that breaks off or stalls is left alone for a while."""

    name: Final = "bucket"

    def __init__(self, bucket: S3Store, guard: Guard, reject: Callable[[Digest], Awaitable[None]]) -> None:
        self._bucket = bucket
        self._guard = guard
        self._reject = reject
        self._rejecting: dict[Digest, asyncio.Task[None]] = {}

    async def stat(self, digest: Digest) -> BlobInfo:
        """Return what the bucket says. `BlobUnknown`; `StoreBroken` also where the guard lets nobody ask."""
        return await self._guard.ask(lambda: self._bucket.stat(digest))

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        """Give the bucket's bytes, which are not checked. `BlobUnknown`, `StoreBroken` as `stat`."""
        async with AsyncExitStack() as stack:
            opening = self._bucket.open(digest, span)
            reading = await self._guard.ask(lambda: stack.enter_async_context(opening))
            yield _UncheckedReading(reading, self._guard)

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """Return the bucket's map. `BlobUnknown`, `StoreBroken` as `stat`."""
        return await self._guard.ask(lambda: self._bucket.chunk_map(digest, span))

    def reject(self, digest: Digest) -> None:
        """Look at the blob in the bucket again, beside the request, and forget it there where it is rotten."""
        if digest not in self._rejecting:
            self._rejecting[digest] = asyncio.get_running_loop().create_task(self._look_again(digest))

    async def _look_again(self, digest: Digest) -> None:
        try:
            with suppress(Failure, BlobUnknown):
                await self._reject(digest)
        finally:
            del self._rejecting[digest]

    async def settled(self) -> None:
        """Wait until all that was rejected has been looked at."""
        await asyncio.gather(*self._rejecting.values())

    async def close(self) -> None:
        """End the looks under way."""
        tasks = list(self._rejecting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _UncheckedReading(Streamed):
    """A reading of the bucket, for a caller that checks what comes and can ask elsewhere."""

    def __init__(self, reading: S3Reading, guard: Guard) -> None:
        self._reading = reading
        self._guard = guard
        self.info = reading.info
        self.span = reading.span
        self.provenance = Provenance(source=BucketAsParent.name, near=BucketAsParent.name)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._reading.unchecked()) as pieces:
            while True:
                try:
                    async with asyncio.timeout(STALL):
                        piece = await anext(pieces, None)
                except ObjectMissing as fault:
                    raise SourceLied(fault.reason, source=BucketAsParent.name) from None
                except (Failure, TimeoutError) as fault:
                    self._guard.failed()
                    reason = fault.reason if isinstance(fault, Failure) else f"no byte for {STALL:g} s"
                    raise SourceUnavailable(f"the bucket: {reason}", source=BucketAsParent.name) from None
                if piece is None:
                    return
                yield piece


_near: type[NearBlobs] = SpoolFirst
_shared: type[SharedBlobs] = BucketAsParent
