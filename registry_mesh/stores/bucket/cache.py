"""A site's cache on a bucket: complete blobs in the bucket, partial and hot ones in a spool on a local disk.

What comes in is complete in the spool first, where clients read it at once, and goes up to the bucket behind their
backs. The spool's copy stays as long as its quota lets it. Several sites may share the bucket: the entry of a blob is
create-only, and a second one finds it and sends nothing.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, Ingest, Reading
from registry_mesh.ports.cache import CacheStore, SaidSize
from registry_mesh.ports.failures import Failure, StoreBroken
from registry_mesh.ports.marker import Admission, Anybody
from registry_mesh.ports.partial import Hold
from registry_mesh.ports.place import Place
from registry_mesh.ports.shared import SharedStore
from registry_mesh.stores.bucket.bounds import BucketBounds, keep_within
from registry_mesh.stores.bucket.errors import ObjectMissing
from registry_mesh.stores.bucket.guard import Guard, GuardedRecords
from registry_mesh.stores.bucket.senders import SpoolSenders
from registry_mesh.stores.bucket.settings import S3Settings
from registry_mesh.stores.bucket.shared import BucketAsParent, SpoolFirst
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.stores.disk.storage import records_below
from registry_mesh.stores.disk.store import DiskStore


class S3CacheStore:
    """`CacheStore`. Made by `start`; `close` ends its uploads, which the next start takes up again."""

    def __init__(self, bucket: S3Store, spool: DiskStore) -> None:
        self.bucket = bucket
        self.spool = spool
        self._guard = Guard()
        self.records = GuardedRecords(bucket.records, self._guard)
        self.near = SpoolFirst(spool, bucket, self._guard, self._from_bucket)
        self.shared = BucketAsParent(bucket, self._guard, self._reject)
        self.bounds = BucketBounds()
        self.rotten = 0
        self._senders = SpoolSenders(spool, bucket)

    @classmethod
    async def start(cls, settings: S3Settings, admission: Admission | None = None) -> S3CacheStore:
        """The cache of `settings`, which name a spool. `StoreForeign` where `admission` does not let us into the bucket
        or the spool, `StoreBroken`."""
        if settings.spool is None:
            raise ValueError("a site on a bucket needs a spool")
        admission = admission or Anybody()
        async with AsyncExitStack() as stack:
            path = settings.spool.path
            await admission.check(records_below(path), str(path))
            spool = await DiskStore.start(path, quota=settings.spool.quota, evict=True)
            stack.push_async_callback(spool.close)
            bucket = await S3Store.start(settings)
            stack.push_async_callback(bucket.close)
            await admission.admit(bucket.records, settings.place)
            await admission.admit(spool.records, str(path))
            stack.pop_all()
        store = cls(bucket, spool)
        store.bounds = BucketBounds(settings.quota, settings.max_age)
        store.begin()
        return store

    def begin(self) -> None:
        """Start to send, first what an earlier process left."""
        self._senders.begin()

    @property
    def sent(self) -> int:
        """Blobs that this process has sent to the bucket."""
        return self._senders.sent

    async def close(self) -> None:
        """End what is being sent, and close the bucket and the spool. What was not sent is found by the next
        process."""
        await self._senders.close()
        await self.shared.close()
        await self.bucket.close()
        await self.spool.close()

    def __repr__(self) -> str:
        return f"<{self.bucket!r} behind {self.spool!r}: {len(self._senders)} to send>"

    async def settled(self) -> None:
        """Until nothing is left to send."""
        await self._senders.settled()

    def redirects(self, digest: Digest) -> bool:
        """Return whether clients may be sent to the bucket for the blob: it was there when last asked for."""
        return self.bucket.redirects and self.bucket.remembers(digest)

    async def stat(self, digest: Digest) -> BlobInfo:
        """Return what the spool says, or else the bucket. `BlobUnknown`, `StoreBroken`."""
        return await self.near.stat(digest)

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        """Give the blob's bytes out of the spool, or else out of the bucket. `BlobUnknown`, `StoreBroken`."""
        async with AsyncExitStack() as stack:
            try:
                reading: Reading = await stack.enter_async_context(self.spool.open(digest, span))
            except (BlobUnknown, StoreBroken):
                reading = await stack.enter_async_context(self._from_bucket(digest, span))
            yield reading

    @asynccontextmanager
    async def _from_bucket(self, digest: Digest, span: Span | None) -> AsyncIterator[Reading]:
        async with AsyncExitStack() as stack:
            reading = await self._guard.ask(lambda: stack.enter_async_context(self.bucket.open(digest, span)))
            try:
                yield reading
            finally:
                if reading.rotten:  # forget it: the next request has it brought anew
                    self.rotten += 1
                    with suppress(Failure, BlobUnknown):
                        await self.bucket.delete(digest)

    async def _reject(self, digest: Digest) -> None:
        """Somebody had wrong bytes of it from the bucket: look at all of it, and forget it if they are wrong there."""
        self.bucket.unlearn(digest)
        try:
            async with self._from_bucket(digest, None) as reading:
                async for _ in reading.pieces():
                    pass
        except ObjectMissing:
            self.rotten += 1
            await self.bucket.delete(digest)
        finally:
            self._senders.send(digest)  # where the spool has it by now

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        """Return the spool's map, or else the bucket's."""
        return await self.near.chunk_map(digest, span)

    @asynccontextmanager
    async def ingest(
        self, expected: Digest | None = None, size: int | None = None, algorithm: str = "sha256"
    ) -> AsyncIterator[Ingest]:
        """Take a blob into the spool; once committed it is sent to the bucket."""
        async with self.spool.ingest(expected, size, algorithm) as ingest:
            seen = _SeenIngest(ingest)
            yield seen
        if seen.info is not None:
            self._senders.send(seen.info.digest)

    @asynccontextmanager
    async def hold(self, digest: Digest, size: int) -> AsyncIterator[Hold]:
        """Give the spool's partial blob; committed here, it is sent to the bucket."""
        async with self.spool.hold(digest, size) as hold:
            before = hold.committed
            try:
                yield hold
            finally:
                if hold.committed and not before:
                    self._senders.send(digest)

    def lock(self, digest: Digest, purpose: str) -> AbstractAsyncContextManager[bool]:
        """Among the processes of this site."""
        return self.spool.lock(digest, purpose)

    async def held_size(self, digest: Digest) -> int | None:
        """Return what the spool says, or else the bucket; None too where that does not answer."""
        return await self.near.held_size(digest)

    async def note_sizes(self, manifest: Digest, descriptors: Sequence[Descriptor]) -> None:
        """Remember in the spool's index."""
        await self.spool.note_sizes(manifest, descriptors)

    async def said_size(self, digest: Digest) -> SaidSize | None:
        """Return what the spool's index remembers."""
        return await self.spool.said_size(digest)

    async def forget_said(self, digest: Digest) -> None:
        """Forget in the spool's index."""
        await self.spool.forget_said(digest)

    async def note_place(self, digest: Digest, place: Place) -> None:
        """Remember in the spool's index."""
        await self.spool.note_place(digest, place)

    async def note_names(self, place: Place, digests: Collection[Digest], *, whole: bool = False) -> None:
        """Remember in the spool's index."""
        await self.spool.note_names(place, digests, whole=whole)

    async def names(self, place: Place, digest: Digest) -> bool | None:
        """What the spool's index remembers."""
        return await self.spool.names(place, digest)

    async def place_of(self, digest: Digest) -> Place | None:
        """Return what the spool's index remembers."""
        return await self.spool.place_of(digest)

    async def delete(self, digest: Digest) -> None:
        """From both. Another site that has it in its spool keeps that."""
        gone = 0
        for store in (self.spool, self.bucket):
            with suppress(BlobUnknown):
                await store.delete(digest)
                gone += 1
        if not gone:
            raise BlobUnknown(digest=str(digest))

    async def blobs(self) -> AsyncIterator[BlobInfo]:
        """The spool's, and those of the bucket that are not in it."""
        async for info in self.spool.blobs():
            yield info
        async for info in self.bucket.blobs():
            try:
                await self.spool.stat(info.digest)
            except BlobUnknown:
                yield info

    async def sweep(self) -> None:
        """Tidy up in the bucket and keep it within its bounds; once an hour is enough, by one process of a site."""
        await self.bucket.sweep()
        await keep_within(self.bucket, self.bucket.control, self.bounds, time.time())


class _SeenIngest:
    """An ingest that remembers what became of it."""

    def __init__(self, inner: Ingest) -> None:
        self._inner = inner
        self.info: BlobInfo | None = None

    @property
    def offset(self) -> int:
        return self._inner.offset

    async def write(self, data: bytes) -> None:
        await self._inner.write(data)

    async def commit(self, expected: Digest | None = None) -> BlobInfo:
        self.info = await self._inner.commit(expected)
        return self.info


_: type[CacheStore] = S3CacheStore
_shared: type[SharedStore] = S3CacheStore
